"""One claimed job from download to completion, or from the last checkpoint of an earlier attempt."""

import concurrent.futures
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import opentelemetry.context
import soundfile as sf

from gpu_worker import checkpoints
from gpu_worker.channel import Analysed, AnalysisTask, Answer, Progress, Ready, Separated, SongTask
from gpu_worker.checkpoints import Separation, StemBlob
from gpu_worker.engine import WAITING, CancelledError, Engine
from gpu_worker.lease import Lease
from gpu_worker.songs import SongStorage
from gpu_worker.tags import read_tags
from shared import telemetry
from shared.effects import effect
from shared.instruments import STEP_SECONDS
from shared.models import StemType
from stem_library_client import ApiError, StemLibraryClient
from stem_library_client.models import Completion, Heartbeat, Job, StemWrite

logger = logging.getLogger(__name__)

SHARE_OF_PROGRESS = {
    "Downloading": (0, 5),
    "Decoding": (5, 10),
    WAITING: (10, 10),
    "Separating": (10, 70),
    "Analysing": (70, 90),
    "Saving": (90, 100),
}
"""Where each step begins and ends on the way from 0 to 100 per cent."""


@dataclass(frozen=True)
class Pipeline:
    """Processes songs with one engine; it writes only through the API and into the job's stems folder."""

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
        ApiError
            Of status 404 or 409 if the job is another's by now.
        """
        model = self.engine.wait_ready(should_stop)
        with tempfile.TemporaryDirectory(prefix="stem-library-") as scratch:
            completion = _Attempt(self, job, lease, model, Path(scratch), should_stop).run()
        with telemetry.span("complete"), effect("job completed"):
            self.client.complete_job(job.id, Completion.model_validate(completion))
        logger.info("Job %s completed with %s", job.id, model.model_label)


@dataclass
class _Attempt:
    """One attempt at one job."""

    pipeline: Pipeline
    job: Job
    lease: Lease
    model: Ready
    folder: Path
    should_stop: Callable[[], bool]
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._identity = {"attempt": self.job.attempt, "workerId": self.pipeline.worker_id}
        self._uploads: dict[StemType, concurrent.futures.Future[StemBlob]] = {}
        self._separated: Separated | None = None

    def run(self) -> dict[str, Any]:
        """Return the body of `complete`."""
        begun = time.monotonic()
        if result := checkpoints.result_of(self.job.checkpoints):
            return {**result, **self._identity}
        resumed = self._resume()
        if resumed:
            separation, paths = resumed
            analysed = self.pipeline.engine.process(
                AnalysisTask(paths, self.folder), on_answer=self._on_answer, should_stop=self.should_stop
            )
        else:
            content_hash = self._download()
            if content_hash == self.job.known_content_hash:
                return {**self._identity, "contentHash": content_hash, "unchanged": True}
            separation, paths, analysed = self._separate(content_hash)
        self.seconds |= analysed.seconds
        self._save(separation, paths, analysed)
        self.seconds["total"] = round(time.monotonic() - begun, 3)
        for step, taken in self.seconds.items():
            STEP_SECONDS.record(taken, {"step": step})
        completion = self._completion(separation, analysed)
        self._note(checkpoints.of_result(completion))
        return {**completion, **self._identity}

    def _resume(self) -> tuple[Separation, dict[StemType, Path]] | None:
        """Fetch the stems that an earlier attempt separated and uploaded, if it came so far."""
        separation = checkpoints.separation_of(self.job.checkpoints)
        if separation is None:
            return None
        self._report("Downloading", 0)
        paths = {stem: self.folder / f"{stem.lower()}.wav" for stem in StemType}
        for stem, path in paths.items():
            if not self.pipeline.storage.fetch_stem(separation.stems[stem], path):
                logger.warning("Job %s: the checkpoint of %s is damaged", self.job.id, stem)
                return None
        return separation, paths

    @telemetry.span("download")
    def _download(self) -> str:
        self._report("Downloading", 0)
        started = time.monotonic()
        song = self.folder / "song"
        with effect("song downloaded"):
            content_hash = self.pipeline.storage.download(self.job.blob_name, self.job.etag, song)
        self.seconds["download"] = round(time.monotonic() - started, 3)
        return content_hash

    def _separate(self, content_hash: str) -> tuple[Separation, dict[StemType, Path], Analysed]:
        """Separate and analyse the song; meanwhile its tags are read, and its stems uploaded."""
        task = SongTask(self.folder / "song", self.folder, self.pipeline.max_minutes)
        attach, present = opentelemetry.context.attach, opentelemetry.context.get_current()
        with concurrent.futures.ThreadPoolExecutor(1, "upload", attach, (present,)) as uploading:
            tags = uploading.submit(self._read_tags)

            def on_answer(answer: Answer) -> None:
                if isinstance(answer, Separated):
                    self._separated = answer
                    label = self.model.model_label
                    self._note(checkpoints.of_separation(content_hash, answer.source, label))
                    for stem, path in answer.stems.items():
                        self._uploads[stem] = uploading.submit(self._upload, stem, path)
                self._on_answer(answer)

            try:
                analysed = self.pipeline.engine.process(
                    task, on_answer=on_answer, should_stop=self.should_stop
                )
                self._report("Saving", 0)
                blobs = {stem: upload.result() for stem, upload in self._uploads.items()}
                if self.should_stop():
                    raise CancelledError
            except BaseException:
                uploading.shutdown(cancel_futures=True)
                raise
        assert self._separated is not None, "the engine announces the stems before its result"
        label = self.model.model_label
        separation = Separation(content_hash, self._separated.source, label, blobs, tags.result())
        return separation, self._separated.stems, analysed

    @telemetry.span("upload")
    def _upload(self, stem: StemType, path: Path) -> StemBlob:
        with effect(f"{stem} uploaded"):
            blob = self.pipeline.storage.upload_stem(self.job, stem, path)
        self._note_uploads([blob], checkpoints.of_stem(stem, blob))
        return blob

    @telemetry.span("tags")
    def _read_tags(self) -> dict[str, str | None]:
        """Return what the song's file says of itself, its artwork uploaded."""
        found = read_tags(self.folder / "song", self.folder)
        tags = {"title": found.title, "artist": found.artist, "album": found.album}
        if found.artwork is None:
            self._note(checkpoints.of_tags(tags))
            return tags
        with effect("artwork uploaded"):
            blob = self.pipeline.storage.upload_file(self.job, found.artwork)
        tags["artworkUri"] = blob.uri
        self._note_uploads([blob], checkpoints.of_tags(tags))
        return tags

    def _note_uploads(self, blobs: list[StemBlob], finished: dict[str, str]) -> None:
        try:
            self._note(finished)
        except ApiError as refusal:
            for blob in blobs:
                if checkpoints.is_unknown(blob, refusal):
                    self.pipeline.storage.delete(blob)
            raise

    def _upload_notation(self, analysed: Analysed) -> dict[StemType, dict[str, str]]:
        """Upload the files of the stems' notes; return their URIs under their wire names."""
        upload = self.pipeline.storage.upload_file
        with effect("notation uploaded"):
            blobs = {
                stem: {field: upload(self.job, path) for field, path in files.items()}
                for stem, files in analysed.notation.items()
            }
        uploaded = [blob for files in blobs.values() for blob in files.values()]
        self._note_uploads(uploaded, checkpoints.of_notation(uploaded))
        return {stem: {field: blob.uri for field, blob in files.items()} for stem, files in blobs.items()}

    @telemetry.span("save")
    def _save(self, separation: Separation, paths: dict[StemType, Path], analysed: Analysed) -> None:
        self._report("Saving", 0)
        started = time.monotonic()
        notation = self._upload_notation(analysed)
        for number, (stem, path) in enumerate(paths.items(), start=1):
            with effect(f"{stem} saved"):
                body = self._stem_body(separation, stem, path, analysed, notation.get(stem, {}))
                self.pipeline.client.save_stem(StemWrite.model_validate(body))
            self._report("Saving", number / len(paths))
        self.seconds["save"] = round(time.monotonic() - started, 3)

    def _stem_body(
        self,
        separation: Separation,
        stem: StemType,
        path: Path,
        analysed: Analysed,
        notation: dict[str, str],
    ) -> dict[str, Any]:
        info = sf.info(path)
        now = datetime.now(UTC).isoformat()
        values = analysed.stems[stem]
        if notation:
            values = values | {"notationData": values["notationData"] | notation}
        return {
            **values,
            "audioFileId": self.job.audio_file_id,
            "type": stem,
            "blobUri": separation.stems[stem].uri,
            "durationSeconds": info.frames / info.samplerate,
            "fileSizeBytes": path.stat().st_size,
            "sampleRate": info.samplerate,
            "channels": info.channels,
            "separatedAt": now,
            "separationModel": separation.model_label,
            "analysisVersion": self.job.analysis_version,
            "analysedAt": now,
            "jobId": self.job.id,
            "attempt": self.job.attempt,
        }

    def _completion(self, separation: Separation, analysed: Analysed) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "model": separation.model_label,
            "device": self.model.device,
            "seconds": self.seconds,
        }
        if self.model.model_note:
            metadata["modelNote"] = self.model.model_note
        return {
            "contentHash": separation.content_hash,
            "durationSeconds": separation.source.duration_seconds,
            "sampleRate": separation.source.sample_rate,
            "channels": separation.source.channels,
            "song": analysed.song,
            **separation.tags,
            "metadata": metadata,
        }

    def _on_answer(self, answer: Answer) -> None:
        if isinstance(answer, Progress):
            self._report(answer.step, answer.share)
        elif isinstance(answer, Analysed):
            telemetry.note_steps(answer.seconds)

    def _report(self, step: str, share: float) -> None:
        low, high = SHARE_OF_PROGRESS[step]
        self.lease.report(step, low + (high - low) * share)

    def _note(self, finished: dict[str, str]) -> None:
        """Have the job remember what was finished; refused if the job is another's by now."""
        with effect(f"{'+'.join(finished)} noted"):
            beat = Heartbeat.model_validate({**self._identity, "checkpoints": finished})
            self.pipeline.client.beat_job(self.job.id, beat)
