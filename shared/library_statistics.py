"""What the library holds, counted as it changes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, timedelta
from typing import Protocol

from shared.keys import all_keys
from shared.models import AnalysisStatus, AudioFile, Stem, StemAnalysisStatus, StemType, WireModel

TOTALS = "totals"
DAYS = 30
BPM_BIN = 5
UNKNOWN = "unknown"

Contribution = Mapping[str, Mapping[str, int]]
"""What a record adds to the counters: {document: {counter: number}}."""


class BpmBin(WireModel):
    """Stems whose tempo lies in `from_bpm <= bpm < to_bpm`."""

    from_bpm: int
    to_bpm: int
    stems: int


class GrowthDay(WireModel):
    """What came on a day (UTC) and is still there."""

    day: date
    songs: int
    stems: int


class LibraryStats(WireModel):
    """The whole library; stems are those of each song's present analysis."""

    songs: int
    songs_by_status: dict[AnalysisStatus, int]
    stems: int
    stems_by_type: dict[StemType, int]
    stems_by_key: dict[str, int]
    """Under canonical names; `unknown` for stems without a key."""
    stems_by_status: dict[StemAnalysisStatus, int]
    bpm_histogram: list[BpmBin]
    """Bins that hold stems, slowest first."""
    stem_seconds: float
    stem_bytes: int
    growth: list[GrowthDay]
    """The last 30 days, newest first."""


class Counters(Protocol):
    """Sums over the records of the library."""

    async def read(self, documents: Iterable[str]) -> list[dict[str, int]]:
        """Return the counters of each document."""
        ...


def count_record(record: AudioFile | Stem) -> Contribution:
    """Return what a record adds to the counters; whole numbers, so that sums are exact.

    `totals` has the state; a document a month has the days on which records were made.
    """
    month, day = _month_and_day(record.created_at.astimezone(UTC).date())
    if isinstance(record, AudioFile):
        totals = {"songs": 1, f"song_{record.analysis_status}": 1}
        return {TOTALS: totals, month: {f"songs_{day}": 1}}
    totals = {
        "stems": 1,
        f"type_{record.type}": 1,
        f"key_{(record.key or UNKNOWN).replace(' ', '_')}": 1,
        f"status_{record.analysis_status}": 1,
        "milliseconds": round(1000 * (record.duration_seconds or 0)),
        "bytes": record.file_size_bytes or 0,
    }
    if record.bpm is not None:
        totals[f"bpm_{int(record.bpm // BPM_BIN * BPM_BIN)}"] = 1
    return {TOTALS: totals, month: {f"stems_{day}": 1}}


class LibraryStatistics:
    """Sums up what the counters say."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    async def sum_up(self, today: date, days: int = DAYS) -> LibraryStats:
        """Return the statistics of the library, its growth on so many days."""
        grown = [today - timedelta(days=number) for number in range(days)]
        months = sorted({_month_and_day(day)[0] for day in grown})
        totals, *monthly = await self._counters.read([TOTALS, *months])
        return stats_of(totals, dict(zip(months, monthly, strict=True)), grown)


def stats_of(totals: dict[str, int], monthly: dict[str, dict[str, int]], days: list[date]) -> LibraryStats:
    """Return the statistics that the counters amount to."""

    def number(name: str) -> int:
        return totals.get(name, 0)

    growth = []
    for each in days:
        month, day = _month_and_day(each)
        counters = monthly.get(month, {})
        songs, stems = (counters.get(f"{kind}_{day}", 0) for kind in ("songs", "stems"))
        growth.append(GrowthDay(day=each, songs=songs, stems=stems))
    bins = sorted(int(name.removeprefix("bpm_")) for name in totals if name.startswith("bpm_"))
    keys = [*(key.name for key in all_keys()), UNKNOWN]
    return LibraryStats(
        songs=number("songs"),
        songs_by_status={status: number(f"song_{status}") for status in AnalysisStatus},
        stems=number("stems"),
        stems_by_type={kind: number(f"type_{kind}") for kind in StemType},
        stems_by_key={key: found for key in keys if (found := number(f"key_{key.replace(' ', '_')}"))},
        stems_by_status={status: number(f"status_{status}") for status in StemAnalysisStatus},
        bpm_histogram=[
            BpmBin(from_bpm=low, to_bpm=low + BPM_BIN, stems=found)
            for low in bins
            if (found := number(f"bpm_{low}"))
        ],
        stem_seconds=number("milliseconds") / 1000,
        stem_bytes=number("bytes"),
        growth=growth,
    )


def _month_and_day(day: date) -> tuple[str, int]:
    return f"{day:%Y-%m}", day.day
