"""Routes of audio files: uploads, records, and the stems of a song."""

import uuid
from datetime import timedelta

import azure.functions as func
from pydantic import Field

from functions.http import ApiBlueprint, json_response, read_body, record_response
from functions.roles import Role
from functions.services import Services
from shared.errors import FieldFault, InvalidInputError, TooLargeError
from shared.models import WireModel

UPLOAD_VALID = timedelta(hours=1)


class UploadRequest(WireModel):
    """Body of POST /api/audio/uploads."""

    file_name: str = Field(min_length=1, max_length=255)
    content_type: str | None = Field(None, max_length=200)
    size_bytes: int = Field(ge=0)


def blueprint(services: Services) -> ApiBlueprint:
    """Return the routes of audio files."""
    api = ApiBlueprint(services.settings)

    @api.api("POST", "api/audio/uploads", role=Role.WRITE)
    async def create_upload(req: func.HttpRequest) -> func.HttpResponse:
        request = read_body(req, UploadRequest)
        limit = services.settings.max_upload_mb
        if request.size_bytes > limit * 1024**2:
            raise TooLargeError(f"The file is larger than {limit} MB.", maxBytes=limit * 1024**2)
        if any(letter in "/\\" or not letter.isprintable() for letter in request.file_name):
            fault = FieldFault(field="fileName", message="must be a plain file name, without folders")
            raise InvalidInputError("The file name can't be taken.", faults=[fault])
        audio_file_id = str(uuid.uuid4())
        url, expires = await services.blobs.upload_url(
            f"{audio_file_id}/{request.file_name}", valid=UPLOAD_VALID
        )
        upload = {
            "audioFileId": audio_file_id,
            "uploadUrl": url,
            "expiresAt": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
        }
        return json_response(upload, status=201)

    @api.api("GET", "api/audio/{id}", role=Role.READ)
    async def get_audio(req: func.HttpRequest) -> func.HttpResponse:
        stored = await services.library.get_audio(req.route_params["id"])
        return record_response(req, stored.record, etag=stored.etag)

    @api.api("DELETE", "api/audio/{id}", role=Role.WRITE)
    async def delete_audio(req: func.HttpRequest) -> func.HttpResponse:
        await services.workflow.delete_audio(req.route_params["id"])
        return func.HttpResponse(status_code=204)

    @api.api("POST", "api/audio/{id}/reanalyse", role=Role.WRITE)
    async def reanalyse_audio(req: func.HttpRequest) -> func.HttpResponse:
        job = await services.workflow.reanalyse(req.route_params["id"])
        return json_response(job.to_wire(), status=202, headers={"Location": f"/api/jobs/{job.id}"})

    @api.api("GET", "api/audio/{id}/stems", role=Role.READ)
    async def get_stems_of_audio(req: func.HttpRequest) -> func.HttpResponse:
        stems = await services.library.stems_of(req.route_params["id"])
        return json_response({"value": [stem.to_wire() for stem in stems]})

    return api
