"""Meters, and the drum patterns that make them heard."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meter:
    """A time signature."""

    name: str
    beats: int
    """Beats a bar, as they are tapped: two dotted quarters in 6/8."""
    eighths: int
    """Eighths a beat."""
    tempi: tuple[float, float]
    """Beats a minute, from the slowest to the fastest song."""

    @property
    def steps(self) -> int:
        """Sixteenths a bar, the grid of the drum patterns."""
        return self.beats * self.eighths * 2


METERS = {
    meter.name: meter
    for meter in (
        Meter("2/4", 2, 2, (70, 160)),
        Meter("3/4", 3, 2, (72, 190)),
        Meter("4/4", 4, 2, (60, 200)),
        Meter("6/8", 2, 3, (60, 120)),
    )
}

# One bar by drum: x a stroke, o a soft one. `hat` is played as written at middle tempi only, see drum_part.
Pattern = dict[str, str]

PATTERNS: dict[tuple[str, str], list[Pattern]] = {
    ("4/4", "plain"): [
        {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x.....x.x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x.x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x.........x.....", "snare": "....x.......x...", "ride": "x...x...x...x..."},
    ],
    ("4/4", "syncopated"): [
        {"kick": "x..x..x...x..x..", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x......x..x.....", "snare": "....x..o.o..x..o", "hat": "x.x.x.x.x.x.x.x."},
        {"kick": "x..x....x.x.....", "snare": "....x.......x...", "open": "..x...x...x...x."},
        {"kick": "x.....x....x....", "snare": "...x..x...x...x.", "hat": "x...x...x...x..."},
    ],
    ("4/4", "sparse"): [
        {"kick": "x.........x.....", "snare": "....x.......x..."},
        {"kick": "x...............", "snare": "............x...", "hat": "....x...x......."},
        {"kick": "x.......x.......", "hat": "....x.......x..."},
    ],
    ("3/4", "plain"): [
        {"kick": "x...........", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
        {"kick": "x...........", "snare": "........x...", "hat": "x.x.x.x.x.x."},
        {"kick": "x.....x.....", "snare": "........x...", "ride": "x...x...x..."},
    ],
    ("3/4", "syncopated"): [
        {"kick": "x..x......x.", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
        {"kick": "x.....x.....", "snare": "....x..o..x.", "hat": "x.x.x.x.x.x."},
    ],
    ("3/4", "sparse"): [
        {"kick": "x...........", "hat": "....x...x..."},
        {"kick": "x...........", "snare": "........x..."},
    ],
    ("2/4", "plain"): [
        {"kick": "x.......", "snare": "....x...", "hat": "x.x.x.x."},
        {"kick": "x.......", "snare": "..x...x.", "hat": "x...x..."},
        {"kick": "x..x....", "snare": "....x...", "hat": "x.x.x.x."},
    ],
    ("2/4", "syncopated"): [
        {"kick": "x..x..x.", "snare": "....x...", "hat": "x.x.x.x."},
        {"kick": "x.....x.", "snare": "..x.x...", "hat": "x.x.x.x."},
    ],
    ("2/4", "sparse"): [{"kick": "x.......", "snare": "....x..."}, {"kick": "x.......", "hat": "....x..."}],
    ("6/8", "plain"): [
        {"kick": "x...........", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
        {"kick": "x...x.......", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
        {"kick": "x.........x.", "snare": "......x.....", "ride": "x.x.x.x.x.x."},
    ],
    ("6/8", "syncopated"): [
        {"kick": "x...x...x...", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
        {"kick": "x.......x...", "snare": "....o.x...o.", "hat": "x.x.x.x.x.x."},
    ],
    ("6/8", "sparse"): [
        {"kick": "x...........", "snare": "......x.....", "hat": "....x.....x."},
        {"kick": "x...........", "hat": "x.x.x.x.x.x."},
    ],
}
