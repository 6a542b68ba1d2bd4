"""One claimed job from download to completion."""

import concurrent.futures
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import soundfile as sf

from gpu_worker.channel import Analysed, Answer, Progress, Separated, SongTask
from gpu_worker.engine import CancelledError, Engine
from gpu_worker.lease import Lease
from gpu_worker.songs import SongStorage
from shared.models import Job, StemType
from stem_library_client import StemLibraryClient

logger = logging.getLogger(__name__)

SHARE_OF_PROGRESS = {
    "Downloading": (0, 5),
    "Decoding": (5, 10),
    "Separating": (10, 70),
    "Analysing": (70, 90),
    "Saving": (90, 100),
}
"""Where each step begins and ends on the way from 0 to 100 per cent."""


@dataclass(frozen=True)
class Pipeline:
    """Processes songs with one engine; it writes only through the API and into the song's stems folder."""

    client: StemLibraryClient
    storage: SongStorage
    engine: Engine
    max_minutes: float
    worker_id: str

    def process(self, job: Job, lease: Lease, should_stop: Callable[[], bool]) -> None:
        """Do the whole job.

        Raises
        ------
        UnsuitableAudioError
            If the file can't be taken.
        EngineError
            If the model process failed.
        CancelledError
            If `should_stop` became true.
        """
        begun = time.monotonic()
        model = self.engine.wait_ready(should_stop)
        with tempfile.TemporaryDirectory(prefix="stem-library-") as scratch:
            folder = Path(scratch)
            song = folder / "song"
            _report(lease, "Downloading", 0)
            started = time.monotonic()
            content_hash = self.storage.download(job.blob_name, job.etag, song)
            downloaded = time.monotonic() - started
            with concurrent.futures.ThreadPoolExecutor(1, "upload") as uploads:
                run = _Run(self, job, lease, uploads)
                try:
                    result = self.engine.process(
                        SongTask(song, folder, self.max_minutes),
                        on_answer=run.on_answer,
                        should_stop=should_stop,
                    )
                    _report(lease, "Saving", 0)
                    started = time.monotonic()
                    separated, uris = run.finish_uploads()
                    if should_stop():
                        raise CancelledError
                except BaseException:
                    uploads.shutdown(cancel_futures=True)
                    raise
            for stem, path in separated.stems.items():
                self.client.save_stem(
                    self._stem_body(job, separated, stem, path, uris[stem], result, model.model_label)
                )
        seconds = {
            "download": round(downloaded, 3),
            **result.seconds,
            "save": round(time.monotonic() - started, 3),
            "total": round(time.monotonic() - begun, 3),
        }
        metadata: dict[str, Any] = {"model": model.model_label, "device": model.device, "seconds": seconds}
        if model.model_note:
            metadata["modelNote"] = model.model_note
        self.client.complete(
            job.id,
            {
                "attempt": job.attempt,
                "workerId": self.worker_id,
                "contentHash": content_hash,
                "durationSeconds": separated.source.duration_seconds,
                "sampleRate": separated.source.sample_rate,
                "channels": separated.source.channels,
                "song": result.song,
                "metadata": metadata,
            },
        )
        logger.info("Job %s completed in %.1f s with %s", job.id, seconds["total"], model.model_label)

    @staticmethod
    def _stem_body(
        job: Job,
        separated: Separated,
        stem: StemType,
        path: Path,
        uri: str,
        result: Analysed,
        model_label: str,
    ) -> dict[str, Any]:
        info = sf.info(path)
        now = datetime.now(UTC).isoformat()
        return {
            **result.stems[stem],
            "audioFileId": job.audio_file_id,
            "type": stem,
            "blobUri": uri,
            "durationSeconds": info.frames / info.samplerate,
            "fileSizeBytes": path.stat().st_size,
            "sampleRate": info.samplerate,
            "channels": info.channels,
            "separatedAt": now,
            "separationModel": model_label,
            "analysisVersion": job.analysis_version,
            "analysedAt": now,
            "jobId": job.id,
            "attempt": job.attempt,
        }


class _Run:
    """What one song's answers lead to: progress reports, and uploads while the analysis goes on."""

    def __init__(
        self, pipeline: Pipeline, job: Job, lease: Lease, uploads: concurrent.futures.ThreadPoolExecutor
    ) -> None:
        self._pipeline = pipeline
        self._job = job
        self._lease = lease
        self._uploads = uploads
        self._separated: Separated | None = None
        self._uris: dict[StemType, concurrent.futures.Future[str]] = {}

    def on_answer(self, answer: Answer) -> None:
        if isinstance(answer, Progress):
            _report(self._lease, answer.step, answer.share)
        elif isinstance(answer, Separated):
            self._separated = answer
            for stem, path in answer.stems.items():
                upload = self._pipeline.storage.upload_stem
                self._uris[stem] = self._uploads.submit(upload, self._job.audio_file_id, stem, path)

    def finish_uploads(self) -> tuple[Separated, dict[StemType, str]]:
        assert self._separated is not None, "the engine announces the stems before its result"
        return self._separated, {stem: upload.result() for stem, upload in self._uris.items()}


def _report(lease: Lease, step: str, share: float) -> None:
    low, high = SHARE_OF_PROGRESS[step]
    lease.report(step, low + (high - low) * share)
