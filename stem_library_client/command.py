"""The command `stems`: a library of stems from the command line."""

import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import httpx
import typer
from rich.console import RenderableType
from rich.progress import DownloadColumn, Progress, TaskID

from stem_library_client import downloads, tables, upkeep
from stem_library_client.client import StemLibraryClient
from stem_library_client.console import as_json, errors, print_table, progress_of, show, show_error, wire
from stem_library_client.following import describe, follow
from stem_library_client.models import JobStatus, Sort, Stem, StemType
from stem_library_client.options import Api, AsJson, Id, Limit, Scope, Token
from stem_library_client.sign_in import EntraSignIn, SignInError
from stem_library_client.transport import ApiError, NotFoundError

PATIENCE = 10.0
"""Seconds; somebody waits."""
MAX_PAGE = 200

Parameters = ParamSpec("Parameters")

app = typer.Typer(
    name="stems",
    help="Search a library of stems, add songs to it, and fetch what comes out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _command(function: Callable[Concatenate[StemLibraryClient, Parameters], None]) -> Callable[..., None]:
    """Register a command; its client comes from the options that all commands share."""

    @functools.wraps(function)
    def connected(*, api: str, token: str | None, scope: str | None, **arguments: Any) -> None:
        sign_in = (lambda: token) if token else EntraSignIn(scope)
        try:
            client = StemLibraryClient(api, token=sign_in, patience=PATIENCE)
        except (ValueError, httpx.InvalidURL) as error:
            raise typer.BadParameter(str(error), param_hint="--api") from error
        with client:
            function(client, **arguments)  # type: ignore[call-arg]

    shared = {"api": (Api, "http://localhost:7071"), "token": (Token, None), "scope": (Scope, None)}
    own = list(inspect.signature(function).parameters.values())[1:]
    connected.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in shared.items()
        ]
    )
    app.command()(connected)
    return connected


@_command
def analyse(
    client: StemLibraryClient,
    songs: Annotated[
        list[Path], typer.Argument(metavar="SONG...", exists=True, dir_okay=False, readable=True)
    ],
    is_json: AsJson = False,
) -> None:
    """Upload songs, follow their analysis, and show their stems."""
    console = errors()
    found: list[Stem] = []
    failed = False
    with progress_of(songs, console) as report:
        for outcome in follow(client, songs, report):
            if outcome.error is not None:
                failed = True
                show_error(console, f"{outcome.song.name}: {outcome.error}")
            elif is_json:
                found += outcome.stems
            else:
                print_table(tables.of_song(outcome.song.name, outcome.stems, outcome.job))
    if is_json:
        print(as_json(wire(found)))
    if failed:
        raise typer.Exit(1)


@_command
def search(
    client: StemLibraryClient,
    key: Annotated[str | None, typer.Option(help="In any spelling: 'C# major', Dbm, 3B, 8d.")] = None,
    bpm: Annotated[
        str | None, typer.Option(metavar="124|120-130", help="124 is 123.5 to 124.5; ends may be left out.")
    ] = None,
    kind: Annotated[StemType | None, typer.Option("--type", case_sensitive=False)] = None,
    compatible: Annotated[bool, typer.Option("--compatible", help="Also keys that go well with it.")] = False,
    half_double: Annotated[bool, typer.Option("--half-double", help="Also half and double tempo.")] = False,
    sort: Annotated[Sort | None, typer.Option(case_sensitive=False)] = None,
    limit: Limit = 50,
    is_json: AsJson = False,
) -> None:
    """Search stems by key, tempo and type."""
    low, high = tempo_range(bpm) if bpm is not None else (None, None)
    found = client.find_stems(
        key=key,
        min_bpm=low,
        max_bpm=high,
        type=kind,
        compatible=compatible or None,
        half_double=half_double or None,
        sort=sort,
        limit=min(limit + 1, MAX_PAGE),
    )
    _list(found, limit, tables.of_search, is_json)


@_command
def get(client: StemLibraryClient, record_id: Id, is_json: AsJson = False) -> None:
    """Show a stem, or an audio file, with all that is known of it."""
    try:
        record: Any = client.get_stem(record_id)
    except NotFoundError:
        record = client.get_audio(record_id)
    show(record.model_dump(mode="json"), tables.of_record(record), is_json)


@_command
def jobs(
    client: StemLibraryClient,
    status: Annotated[JobStatus | None, typer.Option(case_sensitive=False)] = None,
    error: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those whose error says this.")
    ] = None,
    ids: Annotated[
        bool, typer.Option("--ids", help="Print ids alone, for `| xargs -r stems retry`.")
    ] = False,
    limit: Limit = 50,
    is_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    listed = client.list_jobs(status=status, limit=min(limit + 1, MAX_PAGE))
    found = (job for job in listed if error is None or error in (job.error_message or ""))
    if ids:
        for job in itertools.islice(found, limit):
            print(job.id)
    else:
        _list(found, limit, tables.of_jobs, is_json)


@_command
def download(
    client: StemLibraryClient,
    record_id: Id,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the files.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files of the same name.")] = False,
) -> None:
    """Fetch a stem, or all stems of an audio file, as WAV; print where each is."""
    try:
        stems = [client.get_stem(record_id)]
    except NotFoundError:
        stems = client.get_stems_of_audio(record_id)
    console = errors()
    columns = (*Progress.get_default_columns(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for stem in stems:
            with client.download_stem(stem.id) as opened:
                task = progress.add_task(stem.type, total=opened.size)
                shown = functools.partial(_advance, progress, task)
                path = downloads.save(
                    opened,
                    out,
                    otherwise=f"{stem.id}.wav",
                    overwrite=force,
                    on_received=shown,
                )
            print(path)


@_command
def stats(client: StemLibraryClient, is_json: AsJson = False) -> None:
    """Sum up the library."""
    found = client.get_library_stats()
    show(found.model_dump(mode="json"), tables.of_stats(found), is_json)


for _upkeep in (upkeep.retry, upkeep.cancel, upkeep.reanalyse, upkeep.sweep, upkeep.repair):
    _command(_upkeep)


def main() -> None:
    """Run the command; 1 and a sentence for what went wrong, 2 for wrong usage."""
    try:
        app()
    except (ApiError, httpx.TransportError, SignInError, OSError) as error:
        show_error(errors(), describe(error))
        sys.exit(1)


def tempo_range(text: str) -> tuple[float | None, float | None]:
    """Return the bounds of a tempo: `120-130`, `120-`, `-130`, or all that is shown as `124`."""
    number = r"\d+(?:\.\d+)?"
    if found := re.fullmatch(rf"\s*({number})?\s*[-–]\s*({number})?\s*", text):
        low, high = (float(bound) if bound else None for bound in found.groups())
        return low, high
    if found := re.fullmatch(rf"\s*{number}\s*", text):
        half = 0.5 * 10 ** -len(text.strip().partition(".")[2])
        return max(float(text) - half, 0.01), float(text) + half
    raise typer.BadParameter(f"{text!r} is neither a tempo nor a range such as 120-130.", param_hint="--bpm")


def _advance(progress: Progress, task: TaskID, received: int) -> None:
    progress.update(task, completed=received)


def _list(
    found: Iterable[Any], limit: int, table: Callable[[list[Any]], RenderableType], is_json: bool
) -> None:
    records = list(itertools.islice(found, limit + 1))
    if len(records) > limit:
        errors().print(f"There are more than {limit}: --limit shows more of them.", style="yellow")
    show(wire(records[:limit]), table(records[:limit]), is_json)
