"""What the library holds, counted as it changes."""

from datetime import date

from shared.models import AnalysisStatus, StemAnalysisStatus, StemType, WireModel


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
