"""The client: one method a route, named as the API document names its operation."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack

import httpx
from pydantic.alias_generators import to_camel

from stem_library_client import models
from stem_library_client.transport import CHUNK, Download, Transport, api_error, path_of


class Filters(TypedDict, total=False):
    """What a search of stems may be narrowed by, and its order; see the API document."""

    type: models.StemType | None
    key: str | None
    compatible: bool | None
    min_bpm: float | None
    max_bpm: float | None
    half_double: bool | None
    min_duration: float | None
    max_duration: float | None
    status: models.StemAnalysisStatus | None
    audio_file_id: str | None
    sort: models.Sort | None
    limit: int | None
    """Items a page, not of the whole."""


class StemLibraryClient:
    """Speaks to one deployment.

    Every method raises `ApiError` if the API answers with a problem (`NotFoundError` for an unknown id), and
    `httpx.TransportError` if it can't be reached.

    Parameters
    ----------
    base_url : str
        The deployment's address, without `/api`.
    token : callable, optional
        Returns a bearer token; it is called for each request once the API has answered one with 401.
    patience : float
        Seconds for which a request is repeated while the API can't be reached or is overloaded.
        Every route is safe to repeat.
    headers : callable, optional
        Returns headers to send along; it is called for each request, as for the caller's trace context.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: Callable[[], str] | None = None,
        patience: float = 60.0,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._api = Transport(base_url, token, patience, headers)

    def __enter__(self) -> "StemLibraryClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def get_health(self) -> models.Health:
        """Return how the deployment and its dependencies are, good or bad."""
        return self._api.call("GET", path_of("health"), models.Health, accepted=503)

    # Songs

    def upload(self, song: Path, on_sent: Callable[[int], object] | None = None) -> str:
        """Upload a song and return its audio file id; the analysis starts by itself.

        Parameters
        ----------
        on_sent : callable, optional
            Told after each part how many bytes went out so far.
        """
        size = song.stat().st_size
        ticket = self.create_upload(models.UploadRequest(file_name=song.name, size_bytes=size))
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Length": str(size)}

        def put() -> None:
            content = _chunks(song, on_sent)
            # No token: the URL itself is the permission, and the storage is none of the API.
            answer = httpx.put(ticket.upload_url, content=content, headers=headers, timeout=300.0)
            if not answer.is_success:
                raise api_error(answer, "the storage refused the upload: ")

        self._api.repeat(put)
        return ticket.audio_file_id

    def create_upload(self, request: models.UploadRequest) -> models.Upload:
        """Ask for a URL to PUT a song to; `upload` does all of it."""
        return self._api.call("POST", path_of("audio", "uploads"), models.Upload, body=request)

    def list_audio(
        self, *, status: models.AnalysisStatus | None = None, limit: int | None = None
    ) -> Iterator[models.AudioFile]:
        """Yield audio files, newest first; `limit` is of a page."""
        return self._api.pages(path_of("audio"), models.AudioFile, {"status": status, "limit": limit})

    def get_audio(self, audio_file_id: str) -> models.AudioFile:
        """Return an audio file with the result of its song."""
        return self._api.call("GET", path_of("audio", audio_file_id), models.AudioFile)

    def delete_audio(self, audio_file_id: str) -> None:
        """Delete an audio file with its stems, blobs and jobs."""
        self._api.send("DELETE", path_of("audio", audio_file_id))

    def get_artwork(self, audio_file_id: str) -> AbstractContextManager[Download]:
        """Open the picture of a song's tags."""
        return self._api.download(path_of("audio", audio_file_id, "artwork"))

    def reanalyse_audio(self, audio_file_id: str) -> models.JobView:
        """Analyse a song again by the present version of the analysis; return the job."""
        return self._api.call("POST", path_of("audio", audio_file_id, "reanalyse"), models.JobView)

    def reanalyse_library(
        self, *, limit: int | None = None, max_waiting: int | None = None
    ) -> models.ReanalysisReport:
        """Start the analysis of some songs whose results are of an older version; repeat it until `done`."""
        query = {"limit": limit, "maxWaiting": max_waiting}
        return self._api.call("POST", path_of("audio", "reanalyse"), models.ReanalysisReport, query=query)

    def get_stems_of_audio(self, audio_file_id: str, version: int | None = None) -> list[models.Stem]:
        """Return the stems of a song; of the latest version of the analysis by default."""
        path = path_of("audio", audio_file_id, "stems")
        return list(self._api.pages(path, models.Stem, {"version": version}))

    # Stems

    def find_stems(self, **filters: Unpack[Filters]) -> Iterator[models.StemItem]:
        """Yield the stems that pass all filters."""
        return self._api.pages(path_of("stems"), models.StemItem, _wire_names(filters))

    def find_stems_by_key(self, key: str, /, **filters: Unpack[Filters]) -> Iterator[models.StemItem]:
        """Yield the stems in a key, in any spelling: `C# major`, `Db`, `3B`."""
        return self._api.pages(path_of("stems", "key", key), models.StemItem, _wire_names(filters))

    def find_stems_by_bpm(self, **filters: Unpack[Filters]) -> Iterator[models.StemItem]:
        """Yield the stems in a range of tempo, its ends included, slowest first."""
        return self._api.pages(path_of("stems", "bpm"), models.StemItem, _wire_names(filters))

    def get_library_stats(self) -> models.LibraryStats:
        """Return the sums of the library."""
        return self._api.call("GET", path_of("stems", "stats"), models.LibraryStats)

    def get_stem(self, stem_id: str) -> models.Stem:
        """Return a stem with all that was measured."""
        return self._api.call("GET", path_of("stems", stem_id), models.Stem)

    def delete_stem(self, stem_id: str) -> None:
        """Delete a stem with its sound."""
        self._api.send("DELETE", path_of("stems", stem_id))

    def get_analysis(self, stem_id: str) -> models.StemAnalysis:
        """Return beats, chords, sections and notation of a stem as native values."""
        return self._api.call("GET", path_of("stems", stem_id, "analysis"), models.StemAnalysis)

    def download_stem(self, stem_id: str) -> AbstractContextManager[Download]:
        """Open a stem's sound, a WAV file; `downloads.save` puts it into a folder."""
        return self._api.download(path_of("stems", stem_id, "download"))

    def get_notation(self, stem_id: str) -> Any:
        """Return the transcription of a stem as native values."""
        return self._api.send("GET", path_of("stems", stem_id, "notation"), query={"format": "json"}).json()

    def download_notation(
        self, stem_id: str, form: Literal["midi", "musicxml"]
    ) -> AbstractContextManager[Download]:
        """Open the transcription of a stem as a file."""
        return self._api.download(path_of("stems", stem_id, "notation"), {"format": form})

    def repair_library(self) -> Iterator[models.RepairReport]:
        """Compare lists and statistics with the library, and correct what differs: a step an item."""
        return self._api.pages(path_of("stems", "stats", "repair"), models.RepairReport, method="POST")

    # Jobs

    def list_jobs(
        self,
        *,
        status: models.JobStatus | None = None,
        audio_file_id: str | None = None,
        limit: int | None = None,
    ) -> Iterator[models.JobSummary]:
        """Yield jobs, newest first, as they were at their last change of state; `limit` is of a page."""
        query = {"status": status, "audioFileId": audio_file_id, "limit": limit}
        return self._api.pages(path_of("jobs"), models.JobSummary, query)

    def get_job(self, job_id: str) -> models.JobView:
        """Return a job with its step and progress."""
        return self._api.call("GET", path_of("jobs", job_id), models.JobView)

    def get_job_stats(self) -> models.JobStats:
        """Return what jobs did day by day."""
        return self._api.call("GET", path_of("jobs", "stats"), models.JobStats)

    def cancel_job(self, job_id: str) -> models.JobView:
        """Stop a job for good."""
        return self._api.call("POST", path_of("jobs", job_id, "cancel"), models.JobView)

    def retry_job(self, job_id: str) -> models.JobView:
        """Begin a failed or cancelled job again."""
        return self._api.call("POST", path_of("jobs", job_id, "retry"), models.JobView)

    def delete_job(self, job_id: str) -> None:
        """Delete a job at once; one that is at work is cancelled first."""
        self._api.send("DELETE", path_of("jobs", job_id))

    def clean_up_jobs(self, days_old: int | None = None) -> models.Purged:
        """Delete jobs that ended long ago."""
        query = {"daysOld": days_old}
        return self._api.call("POST", path_of("jobs", "cleanup"), models.Purged, query=query)

    def sweep_jobs_now(self) -> models.SweepReport:
        """Repair what crashes and lost messages left."""
        return self._api.call("POST", path_of("jobs", "sweep"), models.SweepReport)

    # The worker's routes (role Worker)

    def claim_job(self, job_id: str, claim: models.ClaimRequest) -> models.Job:
        """Take a job; the `attempt` of the answer goes with every later call."""
        return self._api.call("POST", path_of("jobs", job_id, "claim"), models.Job, body=claim)

    def beat_job(self, job_id: str, beat: models.Heartbeat) -> models.Lease:
        """Renew the lease of a claimed job and report its progress."""
        return self._api.call("POST", path_of("jobs", job_id, "heartbeat"), models.Lease, body=beat)

    def save_stem(self, stem: models.StemWrite) -> models.Stem:
        """Create or update a stem."""
        return self._api.call("POST", path_of("stems"), models.Stem, body=stem)

    def complete_job(self, job_id: str, completion: models.Completion) -> models.Job:
        """End a claimed job with its result."""
        return self._api.call("POST", path_of("jobs", job_id, "complete"), models.Job, body=completion)

    def fail_job(self, job_id: str, failure: models.Failure) -> models.Job:
        """End a claimed job's attempt as failed."""
        return self._api.call("POST", path_of("jobs", job_id, "fail"), models.Job, body=failure)


def _wire_names(filters: Filters) -> dict[str, Any]:
    return {to_camel(name): value for name, value in filters.items()}


def _chunks(path: Path, on_sent: Callable[[int], object] | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
            if on_sent:
                on_sent(file.tell())
