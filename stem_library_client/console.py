"""Analyses a song against a deployment and shows it: progress, then a table of the stems."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stem_library_client.client import ApiError, Json, StemLibraryClient

POLL_SECONDS = 0.3
NOTICED_SECONDS = 60.0
ENDED = ("Completed", "Failed", "Rejected")
WITHOUT_STEP = {"Pending": "Waiting for a worker", "Retrying": "Waiting to try again", "Completed": "Done"}
"""What is shown of a job that is at no step."""

Report = Callable[[str, int], None]


class AnalysisFailedError(Exception):
    """The song could not be analysed; the message is for the user."""


def analyse(base_url: str, song: Path, out: Path | None) -> int:
    """Analyse a song, print the result, and write the API's answer to `out`; return the exit status."""
    console = Console()
    try:
        with StemLibraryClient(base_url) as client:
            audio, job = _follow(client, song, console)
            stems = client.stems_of(audio["id"])
    except AnalysisFailedError as error:
        console.print(f"{song.name}: {error}", style="red", markup=False)
        return 1
    except (ApiError, httpx.TransportError) as error:
        console.print(f"{song.name}: {_describe(error)}", style="red", markup=False)
        return 1
    if out:
        out.write_text(json.dumps(stems, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _show(console, song, stems["value"], job.get("metadata", {}))
    return 0


def _follow(client: StemLibraryClient, song: Path, console: Console) -> tuple[Json, Json]:
    """Upload the song and wait for the end of its analysis; return the audio file and its job."""
    if not console.is_terminal:
        return _upload_and_wait(client, song, _plain_lines(console))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Uploading", total=100)
        return _upload_and_wait(
            client, song, lambda step, percent: progress.update(task, description=step, completed=percent)
        )


def _plain_lines(console: Console) -> Report:
    said: set[tuple[str, int]] = set()

    def report(step: str, percent: int) -> None:
        line = (step, percent // 10 * 10)
        if line not in said:
            said.add(line)
            console.print(f"{step} {percent} %")

    return report


def _upload_and_wait(client: StemLibraryClient, song: Path, report: Report) -> tuple[Json, Json]:
    report("Uploading", 0)
    audio_file_id = client.upload(song)
    uploaded = time.monotonic()
    job: Json = {}
    while True:
        audio = client.audio(audio_file_id)
        if audio is None and time.monotonic() - uploaded > NOTICED_SECONDS:
            raise AnalysisFailedError("the upload was not noticed; look into the Function app's log")
        if audio and audio["jobId"]:
            job = client.job(audio["jobId"]) or job
            report(_step(job), job.get("progress") or 0)
        if audio and audio["analysisStatus"] in ENDED:
            if audio["analysisStatus"] != "Completed":
                raise AnalysisFailedError(audio["error"])
            # The library is written before the job ends: wait for the job, which has the seconds.
            if job.get("status") == "Completed":
                return audio, job
        time.sleep(POLL_SECONDS)


def _step(job: Json) -> str:
    return job.get("currentStep") or WITHOUT_STEP.get(job.get("status", ""), "Waiting")


def _describe(error: ApiError | httpx.TransportError) -> str:
    if isinstance(error, httpx.TransportError):
        return f"the API can't be reached ({error})"
    faults = "; ".join(f"{fault['field']}: {fault['message']}" for fault in error.problem.get("errors", []))
    return f"{error.problem.get('detail')} {faults}".strip()


def _show(console: Console, song: Path, stems: list[Json], metadata: Json) -> None:
    model = metadata.get("model", "unknown model")
    table = Table(title=f"{song.name} · {model}", caption=f"audio file {stems[0]['audioFileId']}")
    for name in ("Stem", "BPM", "Key", "Duration", "RMS", "File"):
        table.add_column(name, justify="left" if name in ("Stem", "Key", "File") else "right", no_wrap=True)
    for stem in stems:
        table.add_row(
            stem["type"],
            _number(stem["bpm"], "{:.1f}"),
            stem["key"] or "–",
            _number(stem["durationSeconds"], "{:.1f} s"),
            _number(stem["rmsLevel"], "{:.1f} dBFS"),
            stem["blobUri"].rpartition("/")[2],
        )
    console.print(table)
    seconds = metadata.get("seconds", {})
    console.print(" · ".join(f"{step} {value:.1f} s" for step, value in seconds.items()))
    if note := metadata.get("modelNote"):
        console.print(Panel(note, title="Preview model", style="yellow"))


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
