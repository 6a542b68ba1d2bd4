"""Routes of audio files: uploads, records, and the stems of a song."""

import uuid
from datetime import timedelta

from functions.answers import NO_STORE, Answer, Redirect
from functions.http import Api
from functions.requests import Id
from functions.roles import Role
from functions.services import Services
from functions.views import ReanalysisQuery, StemsQuery, Upload, UploadRequest
from shared.errors import ConflictError, FieldFault, InvalidInputError, TooLargeError
from shared.file_names import is_plain_name
from shared.ids import parse_upload_name
from shared.models import AudioFile, JobView, Stem, Stored
from shared.queries import AudioQuery, Page
from shared.reanalysis import ReanalysisReport

UPLOAD_VALID = timedelta(hours=1)


def add_routes(api: Api, services: Services) -> None:
    """Add the routes of audio files."""

    @api.post("api/audio/uploads", role=Role.WRITE, statuses={201: "A URL to PUT the song to"})
    async def create_upload(body: UploadRequest) -> Answer[Upload]:
        """Ask for a URL to upload a song to.

        The analysis starts by itself once the song is there: poll the audio file, or its job.
        """
        limit = services.settings.max_upload_mb
        if body.size_bytes > limit * 1024**2:
            raise TooLargeError(f"The file is larger than {limit} MB.", maxBytes=limit * 1024**2)
        audio_file_id = str(uuid.uuid4())
        blob_name = f"{audio_file_id}/{body.file_name}"
        if not is_plain_name(body.file_name) or parse_upload_name(blob_name) is None:
            fault = FieldFault(field="fileName", message="must be a plain file name, without folders")
            raise InvalidInputError("The file name can't be taken.", faults=[fault])
        url, expires = await services.blobs.upload_url(blob_name, valid=UPLOAD_VALID)
        upload = Upload(audio_file_id=audio_file_id, upload_url=url, expires_at=expires)
        return Answer(upload, headers=NO_STORE)

    @api.get("api/audio", role=Role.READ)
    async def list_audio(query: AudioQuery) -> Page[AudioFile]:
        """List audio files, newest first."""
        return await services.search.songs(query)

    @api.get("api/audio/{id:guid}", role=Role.READ)
    async def get_audio(audio_file_id: Id) -> Stored[AudioFile]:
        """Read an audio file with the result of its song."""
        return await services.library.get_audio(audio_file_id)

    @api.delete("api/audio/{id:guid}", role=Role.WRITE)
    async def delete_audio(audio_file_id: Id, if_match: str | None) -> None:
        """Delete an audio file with its stems, blobs and jobs; repeating it is no error."""
        await services.workflow.delete_audio(audio_file_id, if_match)

    @api.get("api/audio/{id:guid}/artwork", role=Role.READ)
    async def get_artwork(audio_file_id: Id) -> Redirect:
        """Fetch the picture of the file's tags."""
        return Redirect(await services.library.artwork_url(audio_file_id))

    @api.post(
        "api/audio/{id:guid}/reanalyse",
        role=Role.WRITE,
        statuses={202: "The job of the analysis"},
        problems=[ConflictError],
    )
    async def reanalyse_audio(audio_file_id: Id) -> Answer[JobView]:
        """Analyse a song again by the present version of the analysis."""
        job = await services.workflow.reanalyse(audio_file_id)
        return Answer(job, headers={"Location": f"/api/jobs/{job.id}"})

    @api.post("api/audio/reanalyse", role=Role.WRITE)
    async def reanalyse_library(query: ReanalysisQuery) -> ReanalysisReport:
        """Analyse songs again whose results are of an older version of the analysis: a few of them.

        Repeat it until `done`, which may take as long as you like: what was started is not started again, and
        `maxWaiting` keeps the queue short, so that new uploads are soon at work. Songs whose newer analysis
        has failed are left out.
        """
        return await services.reanalysis.start(limit=query.limit, max_waiting=query.max_waiting)

    @api.get("api/audio/{id:guid}/stems", role=Role.READ)
    async def get_stems_of_audio(audio_file_id: Id, query: StemsQuery) -> Page[Stem]:
        """List all stems of a song with all that was measured."""
        return Page(await services.stems.of_song(audio_file_id, query.version), None)
