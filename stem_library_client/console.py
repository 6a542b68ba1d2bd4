"""Songs at work: their progress, and what came of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from stem_library_client import tables
from stem_library_client.client import StemLibraryClient
from stem_library_client.following import Outcome, Report, describe, follow
from stem_library_client.model import Model
from stem_library_client.transport import ApiError

PIPED_WIDTH = 200
"""Columns where there is no terminal to ask: nothing is cut off."""


def analyse(base_url: str, song: Path, out: Path | None) -> int:
    """Analyse a song, print the result, and write the API's answer to `out`; return the exit status."""
    console = Console()
    try:
        with StemLibraryClient(base_url) as client, progress_of([song], console) as report:
            (outcome,) = follow(client, [song], report)
    except (ApiError, httpx.TransportError) as error:
        outcome = Outcome(song, error=describe(error))
    if outcome.error is not None:
        show_error(console, f"{song.name}: {outcome.error}")
        return 1
    if out:
        out.write_text(as_json({"value": wire(outcome.stems)}) + "\n", encoding="utf-8")
    console.print(tables.of_song(song.name, outcome.stems, outcome.job))
    return 0


def show(value: object, table: RenderableType, is_json: bool) -> None:
    """Print a result, as JSON or for people."""
    if is_json:
        print(as_json(value))
    else:
        print_table(table)


def print_table(table: RenderableType) -> None:
    """Print a table, as wide as it is where there is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)
    console.print(table)


def errors() -> Console:
    """Return the console of errors and progress."""
    return Console(stderr=True)


def show_error(console: Console, sentence: str) -> None:
    """Print what went wrong."""
    console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)


def wire(records: Iterable[Model]) -> list[object]:
    """Return records as the API has them."""
    return [record.model_dump(mode="json") for record in records]


def as_json(value: object) -> str:
    """Return JSON that people can read, too."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@contextmanager
def progress_of(songs: Sequence[Path], console: Console) -> Iterator[Report]:
    """Show the progress of songs: bars on a terminal, else lines."""
    if not console.is_terminal:
        yield _plain_lines(songs, console)
        return
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {song: progress.add_task("", total=100, visible=False) for song in songs}

        def report(song: Path, step: str, percent: int) -> None:
            label = _label(songs, song, step)
            progress.update(tasks[song], description=label, completed=percent, visible=True)

        yield report


def _plain_lines(songs: Sequence[Path], console: Console) -> Report:
    said: set[tuple[str, int]] = set()

    def report(song: Path, step: str, percent: int) -> None:
        label = _label(songs, song, step)
        line = (label, percent // 10 * 10)
        if line not in said:
            said.add(line)
            console.print(f"{label} {percent} %", markup=False, highlight=False)

    return report


def _label(songs: Sequence[Path], song: Path, step: str) -> str:
    return f"{song.name}: {step}" if len(songs) > 1 else step
