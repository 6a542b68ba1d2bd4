"""Songs, jobs and stems as tests of the services make them: with real blobs."""

import uuid
from datetime import UTC, datetime
from typing import Any

from azure.storage.blob import ContainerClient

from functions.services import Services
from shared import ids
from shared.errors import StemLibraryError
from shared.models import ANALYSIS_VERSION, Job, SongMusic, StemType
from shared.worker_contract import AnalysisMessage, ClaimRequest, Completion, StemWrite


def put(container: ContainerClient, name: str, content: bytes = b"sound") -> str:
    container.upload_blob(name, content, overwrite=True)
    return name


def new_name(file_name: str = "song.wav") -> str:
    return f"{uuid.uuid4()}/{file_name}"


async def upload(services: Services, container: ContainerClient, name: str | None = None) -> Job:
    """Upload something and return its job."""
    name = name or f"{uuid.uuid4()}/song.wav"
    container.upload_blob(name, uuid.uuid4().bytes, overwrite=True)
    job = await services.workflow.on_upload(name)
    assert job is not None
    return job


async def claim(services: Services, job: Job, worker: str = "w") -> Job:
    request = ClaimRequest(attempt=job.queued_attempt, worker_id=worker)
    return await services.workflow.claim(job.id, request)


async def save_stems(services: Services, container: ContainerClient, job: Job, *types: StemType) -> None:
    """Upload and POST stems, as the worker of a claimed job does; a stem that is refused leaves no blob."""
    for kind in types or StemType:
        name = ids.stem_blob_name(job.audio_file_id, kind, job_id=job.id, attempt=job.attempt)
        new = [blob for blob in (name, midi_of(name)) if not container.get_blob_client(blob).exists()]
        for blob in new:
            container.upload_blob(blob, b"RIFF")
        try:
            await services.workflow.save_stem(stem_of(container, job, kind, name))
        except StemLibraryError:
            for blob in new:
                container.delete_blob(blob)
            raise


def midi_of(stem_blob: str) -> str:
    """Return the name of the MIDI file beside a stem."""
    return stem_blob.removesuffix(".wav") + ".mid"


def stem_of(container: ContainerClient, job: Job, kind: StemType, name: str) -> StemWrite:
    return StemWrite(
        audio_file_id=job.audio_file_id,
        type=kind,
        blob_uri=f"{container.url}/{name}",
        duration_seconds=1,
        file_size_bytes=4,
        sample_rate=44_100,
        channels=2,
        separated_at=datetime.now(UTC),
        separation_model="preview@0",
        analysis_version=ANALYSIS_VERSION,
        beats=[{"time": job.attempt}],
        notation_data={"notes": [], "midiUri": f"{container.url}/{midi_of(name)}"},
        job_id=job.id,
        attempt=job.attempt,
    )


def completion(job: Job, **changes: Any) -> Completion:
    whole = {
        "attempt": job.attempt,
        "worker_id": job.worker_id,
        "content_hash": "1" * 64,
        "duration_seconds": 1,
        "sample_rate": 44_100,
        "channels": 2,
        "song": SongMusic(bpm=120, key="C# major"),
    }
    return Completion.model_validate({**whole, **changes})


async def complete(services: Services, container: ContainerClient, job: Job) -> Job:
    claimed = await claim(services, job)
    await save_stems(services, container, claimed)
    return await services.workflow.complete(job.id, completion(claimed))


def message_of(job: Job) -> AnalysisMessage:
    """The message of the job's first attempt."""
    return AnalysisMessage(
        job_id=job.id,
        audio_file_id=job.audio_file_id,
        blob_name=job.blob_name,
        attempt=1,
        analysis_version=ANALYSIS_VERSION,
    )


def blobs_of(container: ContainerClient, audio_file_id: str) -> set[str]:
    return set(container.list_blob_names(name_starts_with=f"{audio_file_id}/"))
