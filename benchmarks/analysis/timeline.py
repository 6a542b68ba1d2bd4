"""When things happen: from positions in beats to seconds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.analysis.outline import DRIFT, Outline


class Timeline:
    """The clock of a song.

    Positions count beats from the first downbeat. Within a beat the second eighth comes later where the song
    swings; from beat to beat the tempo may drift.
    """

    def __init__(self, outline: Outline, beats: int) -> None:
        place = np.linspace(0, 1, beats)
        course = {
            "steady": np.zeros(beats),
            "rising": DRIFT * place,
            "falling": -DRIFT * place,
            "wavering": DRIFT / 2 * np.sin(2 * np.pi * 1.5 * place),
        }[outline.drift]
        self.tempi: NDArray[np.float64] = outline.bpm * (1 + course)
        """Beats a minute of each beat."""
        self.beats: NDArray[np.float64] = outline.lead_in + np.append(0, np.cumsum(60 / self.tempi))
        """Time of each beat in seconds, and the end of the last one."""
        self._first_eighth = outline.swing / (1 + outline.swing) if outline.meter.eighths == 2 else None

    @property
    def bpm(self) -> float:
        """The tempo: median over the beats."""
        return float(np.median(self.tempi))

    @property
    def end(self) -> float:
        """Seconds at which the last bar ends."""
        return float(self.beats[-1])

    def seconds(self, position: ArrayLike) -> NDArray[np.float64]:
        """Times of positions in beats."""
        whole = np.floor(np.asarray(position, float) + 1e-9)
        within = np.asarray(position, float) - whole
        if self._first_eighth is not None:
            within = np.interp(within, [0, 0.5, 1], [0, self._first_eighth, 1])
        return np.interp(whole + within, np.arange(len(self.beats)), self.beats)

    def second(self, position: float) -> float:
        """Time of one position."""
        return float(self.seconds(position))
