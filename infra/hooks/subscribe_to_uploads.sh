#!/bin/sh
# After deployment: sends the events of uploads to the blob trigger `on_upload`. Repeated, it changes nothing.
# Not in Bicep, since the address holds a key that the Functions host makes when it first runs with the app's code. The
# key opens this one webhook; it stays in Event Grid, and is never printed.
set -eu

: "${AZURE_SUBSCRIPTION_ID:?}" "${AZURE_RESOURCE_GROUP:?}" "${AZURE_FUNCTION_APP_NAME:?}"
: "${AUDIO_SYSTEM_TOPIC:?}" "${AUDIO_CONTAINER:?}"
export MSYS_NO_PATHCONV=1 # Git for Windows takes /stems/ for a path of its own
PAUSE=${PAUSE:-10} # seconds between tries

# Prints what a command prints as soon as that is something. The host may still be starting, and Event Grid's
# handshake with it fail for that.
wait_for() {
    what=$1
    shift
    tries=0
    while true; do
        if answer=$("$@") && [ -n "$answer" ]; then
            printf '%s' "$answer"
            return
        fi
        tries=$((tries + 1))
        if [ "$tries" -ge 18 ]; then
            echo "$what: no success after $tries tries; see above. Once its cause is gone, run: azd hooks run postdeploy" >&2
            return 1
        fi
        echo "$what: trying again" >&2
        sleep "$PAUSE"
    done
}

subscribe() {
    az eventgrid system-topic event-subscription create \
        --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" \
        --system-topic-name "$AUDIO_SYSTEM_TOPIC" \
        --name on-upload \
        --endpoint-type webhook \
        --endpoint "https://$AZURE_FUNCTION_APP_NAME.azurewebsites.net/runtime/webhooks/blobs?functionName=Host.Functions.on_upload&code=$key" \
        --included-event-types Microsoft.Storage.BlobCreated \
        --subject-begins-with "/blobServices/default/containers/$AUDIO_CONTAINER/blobs/" \
        --advanced-filter subject StringNotContains /stems/ /analysis/ \
        --max-delivery-attempts 30 --event-ttl 1440 \
        --only-show-errors --query provisioningState --output tsv
}

key=$(wait_for "The key of the app's blob webhook" az functionapp keys list \
    --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" --name "$AZURE_FUNCTION_APP_NAME" \
    --only-show-errors --query systemKeys.blobs_extension --output tsv)

state=$(wait_for "Event Grid's subscription" subscribe)
echo "Uploads into $AUDIO_CONTAINER start their analysis: $state"
