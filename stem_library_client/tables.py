"""Records as tables for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stem_library_client.model import Model
from stem_library_client.models import JobSummary, JobView, LibraryStats, RepairReport, Stem, StemItem

NONE = "–"
STRUCTURES = ("chordProgression", "beats", "sections", "notationData")


def of_song(name: str, stems: Sequence[Stem], job: JobView | None) -> RenderableType:
    """Return the stems of a song that was just analysed, how long that took, and by which model."""
    metadata: Mapping[str, Any] = job.metadata if job else {}
    table = _table(
        "Stem", "BPM>", "Key", "Duration>", "RMS>", "File",
        title=f"{name} · {metadata.get('model', 'unknown model')}",
        caption=f"audio file {stems[0].audio_file_id}",
    )  # fmt: skip
    for stem in stems:
        table.add_row(
            stem.type,
            _number(stem.bpm, "{:.1f}"),
            stem.key or NONE,
            _number(stem.duration_seconds, "{:.1f} s"),
            _number(stem.rms_level, "{:.1f} dBFS"),
            Text(stem.blob_uri.rpartition("/")[2]),
        )
    parts: list[RenderableType] = [table]
    if seconds := metadata.get("seconds"):
        parts.append(Text(" · ".join(f"{step} {value:.1f} s" for step, value in seconds.items())))
    if note := metadata.get("modelNote"):
        parts.append(Panel(Text(note), title="Preview model", style="yellow"))
    return Group(*parts)


def of_search(stems: Iterable[StemItem]) -> Table:
    """Return the stems that a search found."""
    table = _table("Song", "Stem", "BPM>", "Key", "Camelot", "Duration>", "Id")
    for stem in stems:
        table.add_row(
            Text(f"{stem.artist} – {stem.song}" if stem.artist else stem.song),
            stem.type,
            _number(stem.bpm, "{:.1f}"),
            stem.key or NONE,
            stem.camelot or NONE,
            _number(stem.duration_seconds, "{:.1f} s"),
            stem.id,
        )
    return table


def of_jobs(jobs: Iterable[JobSummary]) -> Table:
    """Return a list of jobs."""
    table = _table("Created (UTC)", "Status", "Attempt>", "Job", "Audio file", "Error")
    for job in jobs:
        table.add_row(
            f"{job.created_at:%Y-%m-%d %H:%M:%S}",
            job.status,
            str(job.attempt),
            job.id,
            job.audio_file_id,
            Text(job.error_message or ""),
        )
    return table


def of_record(record: Model) -> Table:
    """Return all fields of a record; of what lies along its time only how much there is."""
    fields = record.model_dump(mode="json")
    unmeasured = fields.pop("unmeasured", None) or {}
    table = _table("", "")
    for name, value in fields.items():
        reason = unmeasured.get(name, "")
        table.add_row(name, Text(f"{NONE} {reason}" if value is None else _short(name, value)))
    return table


def of_stats(stats: LibraryStats) -> Table:
    """Return the sums of the library."""
    table = _table("", "")
    table.add_row("songs", f"{stats.songs}  {_counts(stats.songs_by_status)}")
    table.add_row("stems", f"{stats.stems}  {_counts(stats.stems_by_type)}")
    table.add_row("status", _counts(stats.stems_by_status))
    table.add_row("keys", _counts(stats.stems_by_key))
    table.add_row("BPM", _counts({f"{one.from_bpm}–{one.to_bpm}": one.stems for one in stats.bpm_histogram}))
    table.add_row("sound", f"{stats.stem_seconds / 3600:.1f} h, {stats.stem_bytes / 1e9:.2f} GB")
    days = {f"{one.day}": one.songs for one in stats.growth if one.songs}
    table.add_row("new songs", _counts(days))
    return table


def of_repair(reports: Sequence[RepairReport]) -> Table:
    """Return what a repair looked at and corrected, all steps together."""
    table = _table("", ">")
    for name in RepairReport.model_fields:
        table.add_row(name, str(sum(getattr(report, name) for report in reports)))
    return table


def of_counts(report: Model) -> Table:
    """Return how many of each kind a sweep changed."""
    table = _table("", ">")
    for name, count in report.model_dump(mode="json").items():
        table.add_row(name, str(count))
    return table


def _table(*columns: str, title: str | None = None, caption: str | None = None) -> Table:
    """Return an empty table; a `>` after a column's name has it flush right."""
    has_header = any(column.strip(">") for column in columns)
    table = Table(title=title and Text(title), caption=caption and Text(caption), show_header=has_header)
    for column in columns:
        is_long = column in ("Error", "")
        table.add_column(
            column.rstrip(">"),
            justify="right" if column.endswith(">") else "left",
            no_wrap=not is_long,
            overflow="fold",
        )
    return table


def _number(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value)


def _counts(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or NONE


def _short(name: str, value: Any) -> str:
    if name not in STRUCTURES:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    structure = json.loads(value)
    entries = structure.get("notes", ()) if isinstance(structure, dict) else structure
    return f"{len(entries)} entries"
