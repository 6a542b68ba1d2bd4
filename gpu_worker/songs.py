"""The worker's view of blob storage: songs come from it, stems go to it."""

import hashlib
from pathlib import Path

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient, ContentSettings

from gpu_worker.errors import UnsuitableAudioError
from gpu_worker.settings import WorkerSettings
from shared import ids
from shared.models import StemType

MIB = 1024**2


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

    def upload_stem(self, audio_file_id: str, stem: StemType, path: Path) -> str:
        """Upload a stem's WAV and return its URI; an older one of that name is replaced."""
        client = self._container.get_blob_client(ids.stem_blob_name(audio_file_id, stem))
        with path.open("rb") as file:
            client.upload_blob(
                file, overwrite=True, content_settings=ContentSettings(content_type="audio/wav")
            )
        return str(client.url)
