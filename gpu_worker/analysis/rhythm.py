"""Tempo, beats, bars and swing of a song."""

from dataclasses import dataclass, replace

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from gpu_worker.analysis.meter import Accents, Reading, readings, weigh
from gpu_worker.analysis.onsets import FRAME_RATE, HOP, Curve
from gpu_worker.analysis.pulse import Frames, candidate_periods, pulses
from gpu_worker.analysis.sound import Sound

MIN_BEATS = 8
ONSET_FRAMES, CLEAR_ONSET = 3, 0.25
"""Strength from which on a beat, within some frames, is marked by an onset; MIN_BEATS must be."""

STEADY = 0.25
"""Below this regularity the pulse is as weak as that of noise: no tempo is reported."""

SURE_OF_BARS = 0.5
"""Share that a meter and its bar lines must have among all readings of the pulse, else none are reported."""

SAME_TEMPO = 0.04
SMOOTHING_BEATS = 8
VARYING = 0.015
"""Spread of the smoothed tempo (10th to 90th percentile, as a share of it) above which it is said to vary."""

AUDIBLE_DB = -35.0
"""Level below that of the loud parts at which a song has not begun yet, or is over."""

SWING_STEPS = 48
SECOND_EIGHTH = 0.42, 0.71
"""Where in a beat the second eighth may lie."""

SWING_STRENGTH = 0.12
"""Of the mean onset strength there, as a share of that on the beat."""

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Tempo:
    """A tempo in beats a minute, and its weight among all that were considered, 0 to 1."""

    bpm: float
    weight: float


@dataclass(frozen=True)
class Bars:
    """How beats form bars."""

    time_signature: str
    """Such as "4/4"; in 6/8 there are two beats a bar."""
    positions: NDArray[np.int64]
    """Place of each beat in its bar, 1 for the downbeat."""
    confidence: float
    """0 to 1."""


@dataclass(frozen=True)
class Rhythm:
    """The pulse of a song and what is built on it."""

    bpm: float
    """Median tempo in beats a minute; the beat of 6/8 is the dotted quarter."""
    confidence: float
    """0 to 1: the tempo's weight, times how well the onset strength repeats with it."""
    alternative: Tempo | None
    """The next likely tempo, as a rule half or double."""
    beats: Times
    """Seconds."""
    bars: Bars | None
    """None where nothing tells them."""
    tempo_curve: Times | None
    """Tempo at each beat, smoothed over SMOOTHING_BEATS; None where it is steady."""
    swing: float | None
    """Length of a beat's first eighth over that of its second, 1 if straight; None without such eighths."""

    @property
    def downbeats(self) -> Times:
        """Seconds; empty where no bars are told."""
        return self.beats[:0] if self.bars is None else self.beats[self.bars.positions == 1]


def track_rhythm(*, accents: Accents, song: Sound) -> Rhythm | None:
    """Track tempo, beats and bars of a song; None if there is no steady pulse.

    Periods with which the onset strength repeats, and simple ratios of them, are each followed through the
    song by dynamic programming. Every pulse so found is read in every meter and from every beat, and the
    readings are weighed by what marks beats and bars: drums, bass onsets, changes of harmony. This settles
    tempo octave, meter and bar lines together, since each depends on the others.
    """
    candidates = read(accents)
    if not candidates:
        return None
    weights = weigh(candidates)
    best = candidates[int(weights.argmax())]
    tempi = _tempi(candidates, weights)
    chosen = next(
        tempo for tempo in tempi if abs(tempo.bpm * best.period / (60 * FRAME_RATE) - 1) <= SAME_TEMPO
    )
    rivals = [tempo for tempo in tempi if tempo is not chosen]
    return _rhythm(
        frames=best.beats,
        beats=best.beats / FRAME_RATE,
        bars=_bars(best, candidates, weights),
        is_compound=best.meter.is_compound,
        confidence=chosen.weight * _steadiness(accents, best.period),
        alternative=max(rivals, key=lambda tempo: tempo.weight, default=None),
        accents=accents,
        song=song,
    )


def read(accents: Accents) -> list[Reading]:
    """All readings of all pulses that are steady enough and have enough beats with an onset."""
    drums, strength = accents.drums, accents.strength
    if not strength.any():
        return []
    near = maximum_filter1d(strength, 2 * ONSET_FRAMES + 1)
    return [
        reading
        for period in candidate_periods(drums, strength)
        if _steadiness(accents, period) >= STEADY
        for beats in pulses(strength, period)
        if (near[beats] > CLEAR_ONSET).sum() >= MIN_BEATS
        for reading in readings(beats, accents)
    ]


def _tempi(candidates: list[Reading], weights: NDArray[np.float64]) -> list[Tempo]:
    """The tempi of all readings, with the sums of their weights."""
    sums: dict[float, float] = {}
    for reading, weight in sorted(zip(candidates, weights, strict=True), key=lambda pair: -pair[1]):
        bpm = 60 * FRAME_RATE / reading.period
        same = next((known for known in sums if abs(bpm / known - 1) <= SAME_TEMPO), bpm)
        sums[same] = sums.get(same, 0.0) + float(weight)
    return [Tempo(bpm, weight) for bpm, weight in sums.items()]


def _bars(best: Reading, candidates: list[Reading], weights: NDArray[np.float64]) -> Bars | None:
    """The bars of the best reading, weighed against the others on the same beats."""
    rivals = sum(
        weight for reading, weight in zip(candidates, weights, strict=True) if reading.beats is best.beats
    )
    confidence = float(weights.max() / rivals)
    if confidence < SURE_OF_BARS:
        return None
    positions = (np.arange(len(best.beats)) - best.first_downbeat) % best.meter.beats + 1
    return Bars(best.meter.name, positions, confidence)


def _sounding(beats: Frames, song: Sound) -> slice:
    """The beats from the first to the last at which the song is heard."""
    power = np.square(np.pad(song.samples, (0, HOP)))
    level = np.sqrt(np.add.reduceat(power, np.arange(0, len(song.samples) + 1, HOP)) / HOP)
    audible = np.flatnonzero(level > np.percentile(level, 95) * 10 ** (AUDIBLE_DB / 20))
    if not len(audible):
        return slice(0, 0)
    margin = np.diff(beats).mean() / 4
    return slice(*np.searchsorted(beats, [audible[0] - margin, audible[-1]]))


def _tempo_curve(beats: Times) -> Times:
    """Beats a minute at each beat, from the beats around it."""
    span = min(SMOOTHING_BEATS, len(beats) - 1)
    tempi = 60 * span / (beats[span:] - beats[:-span])
    return np.interp(np.arange(len(beats)), np.arange(len(tempi)) + span / 2, tempi)


def _swing(strength: Curve, beats: Frames) -> float | None:
    """Where the second eighth lies within the beats, from the mean onset strength over a beat."""
    steps = np.arange((len(beats) - 1) * SWING_STEPS) / SWING_STEPS
    places = np.interp(steps, np.arange(len(beats)), beats)
    profile = np.interp(places, np.arange(len(strength)), strength).reshape(-1, SWING_STEPS).mean(axis=0)
    earliest, latest = (round(share * SWING_STEPS) for share in SECOND_EIGHTH)
    peak = earliest + int(profile[earliest : latest + 1].argmax())
    is_local = profile[peak] > profile[peak - 1] and profile[peak] >= profile[peak + 1]
    if not is_local or profile[peak] < SWING_STRENGTH * profile.max():
        return None
    around = slice(peak - 1, peak + 2)
    share = np.average(np.arange(SWING_STEPS)[around], weights=profile[around]) / SWING_STEPS
    return float(share / (1 - share))


def _steadiness(accents: Accents, period: float) -> float:
    """How well the onset strength, that of drums or of all, repeats with a period in frames; 0 to 1."""
    return max(_regularity(accents.drums, period), _regularity(accents.strength, period))


def _regularity(strength: Curve, period: float) -> float:
    """Return the highest autocorrelation of the onset strength near multiples of a period in frames."""
    centred = strength - strength.mean()
    correlation = librosa.autocorrelate(centred)
    if correlation[0] <= 0:
        return 0.0
    lags = [round(period * multiple) + shift for multiple in (1, 2, 4) for shift in (-1, 0, 1)]
    # A shorter overlap at a longer lag would lower the correlation of a perfect pulse: undo that.
    values = [
        correlation[lag] / correlation[0] * len(strength) / (len(strength) - lag)
        for lag in lags
        if 0 < lag < len(strength) // 2
    ]
    return float(np.clip(max(values, default=0.0), 0, 1))


def rhythm_on(
    *, beats: Times, bars: Bars | None, weight: float, accents: Accents, song: Sound
) -> Rhythm | None:
    """Build a song's rhythm on beats that were found in another way; None if too few of them sound.

    Parameters
    ----------
    beats : Times
        Seconds, ascending.
    bars : Bars, optional
        Of these beats.
    weight : float
        How sure the beats are, 0 to 1; as a tempo's weight among the readings of a pulse.
    """
    rhythm = _rhythm(
        frames=frames_of(beats, accents),
        beats=beats,
        bars=bars,
        is_compound=bars is not None and bars.time_signature == "6/8",
        confidence=weight,
        alternative=None,
        accents=accents,
        song=song,
    )
    return rhythm and replace(rhythm, confidence=weight * _steadiness(accents, 60 * FRAME_RATE / rhythm.bpm))


def _rhythm(
    *,
    frames: Frames,
    beats: Times,
    bars: Bars | None,
    is_compound: bool,
    confidence: float,
    alternative: Tempo | None,
    accents: Accents,
    song: Sound,
) -> Rhythm | None:
    """Build a rhythm on the beats, in frames and in seconds, that sound; None if they are too few."""
    sounding = _sounding(frames, song)
    beats, frames = beats[sounding], frames[sounding]
    if len(beats) < MIN_BEATS:
        return None
    curve = _tempo_curve(beats)
    varies = np.ptp(np.percentile(curve, [10, 90])) > VARYING * np.median(curve)
    return Rhythm(
        bpm=float(np.median(curve)),
        confidence=confidence,
        alternative=alternative,
        beats=beats,
        bars=bars and replace(bars, positions=bars.positions[sounding]),
        tempo_curve=curve if varies else None,
        swing=None if is_compound else _swing(accents.strength, frames),
    )


def frames_of(beats: Times, accents: Accents) -> Frames:
    """The frames of onset curves that are nearest to beats in seconds."""
    frames: Frames = np.minimum((beats * FRAME_RATE).round().astype(np.int64), len(accents.kick) - 1)
    return frames
