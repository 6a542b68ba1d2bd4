"""Songs on their way: uploaded, then followed until their analyses end."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from stem_library_client.client import StemLibraryClient
from stem_library_client.models import AnalysisStatus, JobStatus, JobView, Stem
from stem_library_client.transport import ApiError, NotFoundError

POLL_SECONDS = 0.3
NOTICED_SECONDS = 60.0
WITHOUT_STEP = {
    JobStatus.PENDING: "Waiting for a worker",
    JobStatus.RETRYING: "Waiting to try again",
    JobStatus.COMPLETED: "Done",
}
"""What is shown of a job that is at no step."""

Report = Callable[[Path, str, int], None]
"""Told the step of a song, and how far its upload or its job is (per cent)."""


@dataclass(frozen=True)
class Outcome:
    """What became of a song: its stems, or why there are none."""

    song: Path
    stems: Sequence[Stem] = ()
    job: JobView | None = None
    error: str | None = None


def follow(client: StemLibraryClient, songs: Sequence[Path], report: Report) -> Iterator[Outcome]:
    """Upload the songs, and yield each as its analysis ends.

    Raises
    ------
    httpx.TransportError
        If the API can't be reached.
    """
    waiting = []
    for song in songs:
        report(song, "Uploading", 0)
        try:
            waiting.append(_Analysis(song, _upload(client, song, report)))
        except (ApiError, OSError) as error:
            yield Outcome(song, error=describe(error))
    while waiting:
        for analysis in list(waiting):
            if outcome := analysis.look(client, report):
                waiting.remove(analysis)
                yield outcome
        time.sleep(POLL_SECONDS if waiting else 0)


def describe(error: Exception) -> str:
    """Return what went wrong as a sentence."""
    if isinstance(error, httpx.TransportError):
        return f"the API can't be reached ({error})"
    if not isinstance(error, ApiError):
        return str(error)
    faults = "; ".join(f"{fault['field']}: {fault['message']}" for fault in error.problem.get("errors") or ())
    return f"{error.problem.get('detail') or error} {faults}".strip()


@dataclass
class _Analysis:
    song: Path
    audio_file_id: str
    uploaded: float = field(default_factory=time.monotonic)
    job: JobView | None = None

    def look(self, client: StemLibraryClient, report: Report) -> Outcome | None:
        """Return the outcome, or None while there is none."""
        try:
            audio = client.get_audio(self.audio_file_id)
        except NotFoundError:
            if time.monotonic() - self.uploaded < NOTICED_SECONDS:
                return None
            return Outcome(self.song, error="the upload was not noticed; look into the Function app's log")
        is_refused = audio.analysis_status in (AnalysisStatus.FAILED, AnalysisStatus.REJECTED)
        if audio.job_id is None:
            return Outcome(self.song, error=audio.error) if is_refused else None
        is_deleted = False
        try:
            self.job = client.get_job(audio.job_id)
            report(self.song, _step(self.job), self.job.progress)
        except NotFoundError:
            is_deleted = True
        if is_refused:
            return Outcome(self.song, job=self.job, error=audio.error or "the analysis failed")
        # The library is written before the job ends: wait for the job, which has the seconds.
        is_over = is_deleted or (self.job is not None and self.job.status is JobStatus.COMPLETED)
        if audio.analysis_status is AnalysisStatus.COMPLETED and is_over:
            return Outcome(self.song, client.get_stems_of_audio(audio.id), self.job)
        return None


def _upload(client: StemLibraryClient, song: Path, report: Report) -> str:
    size = max(song.stat().st_size, 1)
    return client.upload(song, lambda sent: report(song, "Uploading", sent * 100 // size))


def _step(job: JobView) -> str:
    return job.current_step or WITHOUT_STEP.get(job.status, "Waiting")
