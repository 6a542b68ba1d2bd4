#!/bin/sh
# Before provisioning: whether the Azure CLI is signed in, which the later hooks need. And the worker shall keep the image
# that was built last, whoever deployed it; where there is none, as after `azd down`, Bicep takes a placeholder.
set -eu

if ! az account show ${AZURE_SUBSCRIPTION_ID:+--subscription "$AZURE_SUBSCRIPTION_ID"} --output none; then
    echo "The hooks need the Azure CLI, signed in to the subscription that azd deploys to: az login" >&2
    exit 1
fi

image=''
if [ -n "${AZURE_RESOURCE_GROUP:-}" ] &&
    [ "$(az group exists --subscription "$AZURE_SUBSCRIPTION_ID" --name "$AZURE_RESOURCE_GROUP" --output tsv)" = true ]; then
    tag=$("$(dirname "$0")/../worker_tag.sh")
    image=${tag:+$AZURE_CONTAINER_REGISTRY_ENDPOINT/worker:$tag}
fi
if [ "$image" != "${WORKER_IMAGE:-}" ]; then
    azd env set WORKER_IMAGE "$image"
fi
