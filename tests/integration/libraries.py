"""Songs and stems as tests of lists and statistics make them: records without their sound."""

import uuid
from datetime import UTC, datetime
from typing import Any

from azure.storage.blob import ContainerClient

from functions.services import Services
from shared import ids
from shared.models import Stem, StemType
from shared.storage.blobs import BlobProperties
from shared.worker_contract import StemWrite


async def add_song(services: Services, container: ContainerClient, song_id: str | None = None) -> str:
    """Have an upload arrive; return the song's id."""
    song_id = song_id or str(uuid.uuid4())
    upload = ids.parse_upload_name(f"{song_id}/song.wav")
    assert upload is not None
    blob = BlobProperties(
        uri=f"{container.url}/{upload.blob_name}",
        etag=f'"{uuid.uuid4().hex}"',
        size_bytes=1,
        content_type=None,
        last_modified=datetime.now(UTC).replace(microsecond=0),
    )
    await services.library.register_upload(upload, blob)
    return song_id


async def save_stem(
    services: Services,
    container: ContainerClient,
    song_id: str,
    kind: StemType = StemType.DRUMS,
    **values: Any,
) -> Stem:
    """Save a stem of a song without a job."""
    write = StemWrite.model_validate(
        {
            "audio_file_id": song_id,
            "type": kind,
            "blob_uri": f"{container.url}/{song_id}/stems/{kind.lower()}.wav",
            **values,
        }
    )
    stem, _ = await services.stems.save(write)
    return stem
