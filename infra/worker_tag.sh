#!/bin/sh
# Prints the tag of the worker's image that was built last; nothing where none was.
set -eu

: "${AZURE_SUBSCRIPTION_ID:?}" "${AZURE_CONTAINER_REGISTRY_ENDPOINT:?}"

in_registry() {
    az acr repository "$@" --subscription "$AZURE_SUBSCRIPTION_ID" --name "${AZURE_CONTAINER_REGISTRY_ENDPOINT%%.*}" \
        --only-show-errors --output tsv
}

repository=$(in_registry list --query "[?@=='worker']")
if [ -n "$repository" ]; then
    in_registry show-tags --repository "$repository" --orderby time_desc --top 1
fi
