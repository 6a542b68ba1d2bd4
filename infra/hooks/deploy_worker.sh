#!/bin/sh
# Before the app is deployed: the registry builds the worker's image, and the worker gets it. It is built again only if its
# sources have changed, or REBUILD_WORKER is set (for newer packages of the base image).
# Not by azd, though it can: it gives a build 20 minutes, which one with CUDA, PyTorch and weights may take.
set -eu

: "${AZURE_SUBSCRIPTION_ID:?}" "${AZURE_RESOURCE_GROUP:?}" "${AZURE_CONTAINER_REGISTRY_ENDPOINT:?}"
: "${AZURE_WORKER_NAME:?}" "${AZURE_WORKER_KIND:?}"
cd "$(dirname "$0")/../.."

model="STEM_MODEL=${STEM_MODEL:-htdemucs}"
sources=$(find gpu_worker shared stem_library_client -type f ! -name '*.pyc' | LC_ALL=C sort)
# shellcheck disable=SC2086 # a name each
contents=$({ echo "$model ${TORCH_INDEX:-}"; cksum $sources; } | cksum | cut -d ' ' -f 1)

tag=$(infra/worker_tag.sh)
if [ -n "${REBUILD_WORKER:-}" ] || [ "${tag#*-}" != "$contents" ]; then
    tag=$(date -u +%Y%m%d%H%M%S)-$contents
    # Alone, since the CLI looks at every file beside them, environments and sockets too.
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    cp -R .dockerignore gpu_worker shared stem_library_client "$context"
    az acr build --subscription "$AZURE_SUBSCRIPTION_ID" --registry "${AZURE_CONTAINER_REGISTRY_ENDPOINT%%.*}" \
        --image "worker:$tag" --file "$context/gpu_worker/Dockerfile" --platform linux/amd64 \
        --build-arg "$model" ${TORCH_INDEX:+--build-arg "TORCH_INDEX=$TORCH_INDEX"} --timeout 7200 "$context"
fi

update() {
    az containerapp "$@" --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" \
        --name "$AZURE_WORKER_NAME" --image "$AZURE_CONTAINER_REGISTRY_ENDPOINT/worker:$tag" --only-show-errors --output none
}

case $AZURE_WORKER_KIND in
    job) update job update ;;
    app) update update ;;
esac
echo "The worker has image $tag"
