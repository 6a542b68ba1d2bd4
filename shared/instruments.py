"""Every metric that Function app and worker send. infra/workbook.json and the alerts go by these names."""

from opentelemetry import metrics

_meter = metrics.get_meter("stem_library")

JOBS_ENDED = _meter.create_counter(
    "stem_library.jobs.ended", "{job}", "Jobs that ended, by outcome; each once"
)
JOBS_DELETED = _meter.create_counter("stem_library.jobs.deleted", "{job}", "Completed jobs that were deleted")
JOBS_PURGED = _meter.create_counter(
    "stem_library.jobs.purged", "{job}", "Failed and cancelled jobs that were cleaned up"
)
COMPLETION_TIME = _meter.create_histogram(
    "stem_library.jobs.completion_time", "s", "From creation to completion"
)
JOBS = _meter.create_gauge("stem_library.jobs", "{job}", "Live jobs, by status")
STEMS = _meter.create_gauge("stem_library.library.stems", "{stem}", "Stems of the library, by type")
GROWTH = _meter.create_gauge(
    "stem_library.library.growth",
    "{stem}",
    "Stems that came today (UTC); a day's greatest value is its growth",
)
OLDEST_MESSAGE_AGE = _meter.create_gauge(
    "stem_library.queue.oldest_message_age",
    "s",
    "How long the job has waited for a worker that waits longest; 0 if none waits",
)
DEAD_LETTERS = _meter.create_counter(
    "stem_library.queue.dead_letters", "{message}", "Messages that were dead-lettered"
)
STEP_SECONDS = _meter.create_histogram(
    "stem_library.worker.step_seconds", "s", "What a song took, by step; `total` is the whole"
)
GPU_BUSY_SHARE = "stem_library.worker.gpu_busy_share"
"""Share, 0 to 1, of the worker's time since the last reading in which the model separated on a GPU."""
