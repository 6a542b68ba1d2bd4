"""The blob trigger that turns an upload into a job."""

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob

from functions.services import Services
from shared import telemetry


def blueprint(services: Services) -> df.Blueprint:
    """Return the blob trigger."""
    bp = df.Blueprint()

    # The client is bound, never the content: an InputStream would carry the whole file into memory.
    @bp.blob_trigger(  # type: ignore[untyped-decorator]
        arg_name="client",
        path=f"{services.settings.audio_container}/{{name}}",
        connection="AUDIO_STORAGE",
        source=func.BlobSource.EVENT_GRID,
    )
    async def on_upload(client: blob.BlobClient) -> None:
        with telemetry.span_of_call("on_upload", None):
            job = await services.workflow.on_upload(client.blob_name)
            if job:
                telemetry.note(job_id=job.id, audio_file_id=job.audio_file_id)

    return bp
