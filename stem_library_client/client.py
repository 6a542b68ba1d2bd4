"""The client: one method a route; answers are the API's JSON."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

Json = dict[str, Any]

RETRIED_STATUSES = frozenset({429, 502, 503, 504})


class ApiError(Exception):
    """The API answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status = status
        self.problem = problem
        """The problem's members, its extensions included."""
        super().__init__(f"{status}: {problem.get('detail') or problem.get('title') or 'no details'}")


class StemLibraryClient:
    """Speaks to one deployment.

    Parameters
    ----------
    base_url : str
        The deployment's address, without `/api`.
    token : callable, optional
        Returns a bearer token for each request; none is sent without it.
    patience : float
        Seconds for which a request is repeated while the API can't be reached or is overloaded.
        Every route is safe to repeat.
    """

    def __init__(
        self, base_url: str, *, token: Callable[[], str] | None = None, patience: float = 60.0
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=30.0)
        self._token = token
        self._patience = patience

    def __enter__(self) -> "StemLibraryClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> Json:
        """Return the deployment's health."""
        return self._call("GET", "/api/health")

    def upload(self, song: Path) -> str:
        """Upload a song and return its audio file id; the analysis starts by itself.

        Raises
        ------
        ApiError
            If the file can't be taken.
        """
        size = song.stat().st_size
        ticket = self._call("POST", "/api/audio/uploads", {"fileName": song.name, "sizeBytes": size})
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Length": str(size)}
        answer = httpx.put(ticket["uploadUrl"], content=_chunks(song), headers=headers, timeout=300.0)
        if answer.status_code != 201:
            raise ApiError(
                answer.status_code, {"detail": f"the storage refused the upload: {answer.text[:200]}"}
            )
        audio_file_id: str = ticket["audioFileId"]
        return audio_file_id

    def audio(self, audio_file_id: str) -> Json | None:
        """Return the audio file, or None while its upload was not noticed yet."""
        try:
            return self._call("GET", f"/api/audio/{quote(audio_file_id, safe='')}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def stems_of(self, audio_file_id: str) -> Json:
        """Return the stems of a song."""
        return self._call("GET", f"/api/audio/{quote(audio_file_id, safe='')}/stems")

    def job(self, job_id: str) -> Json | None:
        """Return the job, or None once it is deleted."""
        try:
            return self._call("GET", f"/api/jobs/{quote(job_id, safe='')}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def claim(self, job_id: str, *, attempt: int, worker_id: str) -> Json:
        """Claim a job (role Worker)."""
        return self._call("POST", f"/api/jobs/{job_id}/claim", {"attempt": attempt, "workerId": worker_id})

    def heartbeat(self, job_id: str, beat: Json) -> Json:
        """Renew the lease of a claimed job and report its progress (role Worker)."""
        return self._call("POST", f"/api/jobs/{job_id}/heartbeat", beat)

    def save_stem(self, stem: Json) -> Json:
        """Create or update a stem (role Worker)."""
        return self._call("POST", "/api/stems", stem)

    def complete(self, job_id: str, completion: Json) -> Json:
        """End a claimed job with its result (role Worker)."""
        return self._call("POST", f"/api/jobs/{job_id}/complete", completion)

    def fail(self, job_id: str, failure: Json) -> Json:
        """End a claimed job's attempt as failed (role Worker)."""
        return self._call("POST", f"/api/jobs/{job_id}/fail", failure)

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        retrying = Retrying(
            retry=retry_if_exception(_passing),
            stop=stop_after_delay(self._patience),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
            reraise=True,
        )
        return retrying(self._call_once, method, path, body)

    def _call_once(self, method: str, path: str, body: Json | None) -> Json:
        headers = {"Authorization": f"Bearer {self._token()}"} if self._token else {}
        answer = self._http.request(method, path, json=body, headers=headers)
        if answer.is_success:
            value: Json = answer.json()
            return value
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        raise ApiError(answer.status_code, answer.json() if is_problem else {"detail": answer.text[:200]})


def _passing(error: BaseException) -> bool:
    """Whether the fault may pass by itself: no answer, or one that asks to try later."""
    if isinstance(error, ApiError):
        return error.status in RETRIED_STATUSES
    return isinstance(error, httpx.TransportError)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1024**2):
            yield chunk
