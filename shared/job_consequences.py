"""What a job's state means for the record of its audio file. Pure."""

from typing import Any

from shared.models import AnalysisStatus, Job, JobStatus
from shared.worker_contract import Completion

CANCELLED = "The analysis was cancelled."
STATUSES = {
    JobStatus.PENDING: AnalysisStatus.PENDING,
    JobStatus.RETRYING: AnalysisStatus.PENDING,
    JobStatus.RUNNING: AnalysisStatus.RUNNING,
    JobStatus.STALE: AnalysisStatus.RUNNING,
    JobStatus.COMPLETED: AnalysisStatus.COMPLETED,
    JobStatus.FAILED: AnalysisStatus.FAILED,
    JobStatus.CANCELLED: AnalysisStatus.FAILED,
}


def consequences(job: Job) -> dict[str, Any]:
    """Return the fields of the AudioFile that follow from its present job.

    A failed or cancelled analysis leaves the results of an older one in place; `error` says what happened.
    """
    error = CANCELLED if job.status is JobStatus.CANCELLED else job.error_message
    update: dict[str, Any] = {"analysis_status": STATUSES[job.status], "error": error}
    if job.file_at_fault:
        update["analysis_status"] = AnalysisStatus.REJECTED
    if job.status is JobStatus.COMPLETED:
        completion = Completion.model_validate(job.result)
        update |= {"error": None, "content_hash": completion.content_hash}
        if completion.song is not None:
            update |= {
                "analysis_version": job.analysis_version,
                "duration_seconds": completion.duration_seconds,
                "sample_rate": completion.sample_rate,
                "channels": completion.channels,
                **dict(completion.song),
                **completion.model_dump(include={"title", "artist", "album", "artwork_uri"}),
            }
    return update
