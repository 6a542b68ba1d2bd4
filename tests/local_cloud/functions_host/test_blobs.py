"""Blob triggers of the Functions host."""

import base64
import json
import shutil

from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueServiceClient

from tests.local_cloud.functions_host.conftest import (
    Host,
    StandIn,
    empty_container,
    eventually,
    only_stand_in,
)


def test_a_blob_runs_its_function_with_a_client(host: Host, uploads: ContainerClient) -> None:
    name = "deep/er/Möt 1#.txt"
    uploads.upload_blob(name, b"first")
    eventually(lambda: host.runs("on_upload done", name))
    uploads.upload_blob(name, b"second", overwrite=True)
    eventually(lambda: len(host.runs("on_upload done", name)) == 2)
    assert [run["content"] for run in host.runs("on_upload done", name)] == ["first", "second"]
    assert len(host.runs("on_upload", name)) == 2


def test_a_blob_runs_its_function_with_a_stream_where_its_path_fits(host: Host, storage: str) -> None:
    with BlobServiceClient.from_connection_string(storage) as service:
        streams = empty_container(service, "streams")
        for name in ("a/one.wav", "two.txt", "b/c/three.txt"):
            streams.upload_blob(name, "Möt".encode())
    eventually(lambda: host.runs("on_stream"))
    (run,) = host.runs("on_stream")
    assert run == {"function": "on_stream", "name": "streams/b/c/three.txt", "length": 4, "content": "Möt"}


@only_stand_in
def test_a_version_that_has_run_does_not_run_again_though_all_data_of_the_host_is_lost(
    host: StandIn, uploads: ContainerClient, storage: str
) -> None:
    etag = uploads.upload_blob("before.txt", b"").get_blob_properties().etag
    with BlobServiceClient.from_connection_string(storage) as service:
        receipts = service.get_container_client("azure-webjobs-hosts")
        receipt = f"blobreceipts/local/Host.Functions.on_upload/{etag}/uploads/before.txt"
        eventually(lambda: receipt in receipts.list_blob_names())
    host.program.kill()
    shutil.rmtree(host.data)
    uploads.upload_blob("marker.txt", b"")
    host.start()
    eventually(lambda: host.runs("on_upload done", "marker.txt"))
    assert len(host.runs("on_upload", "before.txt")) == 1


@only_stand_in
def test_a_version_without_a_receipt_runs_again_after_a_kill(host: StandIn, uploads: ContainerClient) -> None:
    uploads.upload_blob("bad cut short.txt", b"")
    eventually(lambda: host.runs("on_upload", "bad cut short.txt"))
    host.program.kill()
    host.start()
    eventually(lambda: len(host.runs("on_upload", "bad cut short.txt")) > 5)


def test_a_blob_that_fails_is_tried_five_times_and_holds_up_no_other(
    host: Host, uploads: ContainerClient, storage: str
) -> None:
    etag = uploads.upload_blob("bad.txt", b"x").get_blob_properties().etag
    eventually(lambda: host.runs("on_upload", "bad.txt"))
    uploads.upload_blob("good.txt", b"y")
    eventually(lambda: host.runs("on_upload done", "good.txt"))

    def poisoned() -> dict[str, str] | None:
        with QueueServiceClient.from_connection_string(storage) as queues:
            if "webjobs-blobtrigger-poison" in [queue.name for queue in queues.list_queues()]:
                queue = queues.get_queue_client("webjobs-blobtrigger-poison")
                messages = [json.loads(base64.b64decode(found.content)) for found in queue.receive_messages()]
                return next((message for message in messages if message["BlobName"] == "bad.txt"), None)
        return None

    message = eventually(poisoned)
    assert message == {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.on_upload",
        "BlobType": "BlockBlob",
        "ContainerName": "uploads",
        "BlobName": "bad.txt",
        "ETag": etag.strip('"'),
    }
    uploads.upload_blob("after.txt", b"z")
    eventually(lambda: host.runs("on_upload done", "after.txt"))
    assert len(host.runs("on_upload", "bad.txt")) == 5
