"""Commands that keep a library in order: jobs begun again or stopped, analysis anew, repair."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from stem_library_client.client import StemLibraryClient
from stem_library_client.console import errors, show, show_error, wire
from stem_library_client.following import describe
from stem_library_client.models import JobView
from stem_library_client.options import AsJson, Limit
from stem_library_client.tables import of_counts, of_repair
from stem_library_client.transport import ApiError

LOOK_SECONDS = 5.0
"""Between two looks whether the queue has room."""
MAX_STEP = 100

JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs.")]


def retry(client: StemLibraryClient, job_ids: JobIds) -> None:
    """Begin failed or cancelled jobs again; 1 if one could not be."""
    _each(client.retry_job, job_ids)


def cancel(client: StemLibraryClient, job_ids: JobIds) -> None:
    """Stop jobs for good; 1 if one could not be."""
    _each(client.cancel_job, job_ids)


def reanalyse(
    client: StemLibraryClient,
    audio_ids: Annotated[list[str] | None, typer.Argument(metavar="SONG", help="Ids of audio files.")] = None,
    outdated: Annotated[
        bool, typer.Option("--outdated", help="All songs that an older version analysed.")
    ] = False,
    limit: Limit = 100,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="With --outdated: start none while so many jobs wait for a worker.")
    ] = 20,
) -> None:
    """Analyse songs again by the present version: some, or with --outdated the whole library bit by bit.

    Break it off when you like: the next run goes on with what is left.
    """
    if outdated == bool(audio_ids):
        raise typer.BadParameter("Give ids of audio files, or --outdated.")
    if audio_ids:
        _each(client.reanalyse_audio, audio_ids)
    else:
        _raise_version(client, limit, max_waiting)


def sweep(client: StemLibraryClient, is_json: AsJson = False) -> None:
    """Repair what crashes and lost messages left, without waiting for the next sweep."""
    report = client.sweep_jobs_now()
    show(report.model_dump(mode="json"), of_counts(report), is_json)


def repair(client: StemLibraryClient, is_json: AsJson = False) -> None:
    """Compare lists and statistics with the library, and correct what differs."""
    with errors().status("Comparing"):
        reports = list(client.repair_library())
    show(wire(reports), of_repair(reports), is_json)


def _each(act: Callable[[str], JobView], record_ids: list[str]) -> None:
    """Print the job that comes of each id; one that is refused does not hold up the others."""
    refused = False
    for record_id in record_ids:
        try:
            job = act(record_id)
        except ApiError as error:
            refused = True
            show_error(errors(), f"{record_id}: {describe(error)}")
        else:
            print(job.id, job.status)
    if refused:
        raise typer.Exit(1)


def _raise_version(client: StemLibraryClient, limit: int, max_waiting: int) -> None:
    started, is_done = 0, False
    with errors().status("Starting") as status:
        while started < limit and not is_done:
            step = min(limit - started, MAX_STEP)
            report = client.reanalyse_library(limit=step, max_waiting=max_waiting)
            started, is_done = started + report.started, report.done
            status.update(f"{started} started, {report.waiting} waiting for a worker")
            if report.failed:
                show_error(
                    errors(), f"{report.failed} could not be started; the Function app's log says why."
                )
                raise typer.Exit(1)
            if not report.started and not is_done:
                time.sleep(LOOK_SECONDS)
    print(f"{started} started; {'none is left' if is_done else 'there may be more'}.")
