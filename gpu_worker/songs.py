"""The worker's view of blob storage: songs come from it, stems go to it."""

import contextlib
import hashlib
from pathlib import Path

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient, ContentSettings

from gpu_worker.checkpoints import StemBlob
from gpu_worker.errors import UnsuitableAudioError
from gpu_worker.settings import WorkerSettings
from shared import ids
from shared.models import StemType
from stem_library_client.models import Job

MIB = 1024**2
CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mid": "audio/midi",
    ".musicxml": "application/vnd.recordare.musicxml+xml",
}


class SongStorage:
    """The audio container."""

    def __init__(self, settings: WorkerSettings) -> None:
        if settings.audio_storage:
            service = BlobServiceClient.from_connection_string(settings.audio_storage)
        else:
            assert settings.audio_storage_uri is not None
            service = BlobServiceClient(settings.audio_storage_uri, credential=DefaultAzureCredential())
        self._container = service.get_container_client(settings.audio_container)
        self._max_megabytes = settings.max_upload_mb

    def download(self, blob_name: str, etag: str, target: Path) -> str:
        """Download exactly this version of a blob and return the SHA-256 of its bytes.

        Raises
        ------
        UnsuitableAudioError
            If the file is empty, too large, or not there in this version any more.
        """
        client = self._container.get_blob_client(blob_name)
        digest = hashlib.sha256()
        try:
            size = client.get_blob_properties().size
            if size == 0:
                raise UnsuitableAudioError("The file is empty.")
            if size > self._max_megabytes * MIB:
                raise UnsuitableAudioError(f"The file is larger than {self._max_megabytes} MB.")
            download = client.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
            with target.open("wb") as file:
                for chunk in download.chunks():
                    digest.update(chunk)
                    file.write(chunk)
        except ResourceNotFoundError:
            raise UnsuitableAudioError("The file was deleted before its analysis began.") from None
        except ResourceModifiedError:
            raise UnsuitableAudioError(
                "The file was replaced; its new version is analysed instead."
            ) from None
        return digest.hexdigest()

    def upload_stem(self, job: Job, stem: StemType, path: Path) -> StemBlob:
        """Upload a stem's WAV to the place of this attempt; what lies there already is the same stem."""
        name = ids.stem_blob_name(job.audio_file_id, stem, job_id=job.id, attempt=job.attempt)
        return self._upload(name, path, "audio/wav")

    def upload_file(self, job: Job, path: Path) -> StemBlob:
        """Upload artwork or notation to the place of this attempt, under the file's own name."""
        name = f"{ids.attempt_folder(job.audio_file_id, job.id, job.attempt)}{path.name}"
        return self._upload(name, path, CONTENT_TYPES[path.suffix])

    def _upload(self, name: str, path: Path, content_type: str) -> StemBlob:
        client = self._container.get_blob_client(name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            # An upload whose answer was lost is repeated by the SDK, and finds itself there.
            with contextlib.suppress(ResourceExistsError):
                client.upload_blob(file, content_settings=ContentSettings(content_type=content_type))
        return StemBlob(name, str(client.url), digest)

    def fetch_stem(self, blob: StemBlob, target: Path) -> bool:
        """Download an uploaded stem; return whether it is there and whole."""
        try:
            download = self._container.download_blob(blob.name)
            with target.open("wb") as file:
                download.readinto(file)
        except ResourceNotFoundError:
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == blob.sha256

    def delete(self, blob: StemBlob) -> None:
        """Delete what was uploaded."""
        with contextlib.suppress(ResourceNotFoundError):
            self._container.delete_blob(blob.name)
