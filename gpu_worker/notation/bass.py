"""The notes of a bass."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_worker.analysis.onsets import FRAME_RATE, HOP, Curve, onset_strength, onset_times
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound
from gpu_worker.analysis.spectra import Magnitudes, magnitudes
from gpu_worker.notation.notes import Note, velocities
from gpu_worker.notation.pitch import PitchTrack, steady_share

SETTLING_SECONDS = 0.07
"""After an onset, in which pitch and confidence still show what was before, or the attack's noise."""

SETTLING_SHARE = 0.3
"""Of a short note at most."""

SHORTEST_SECONDS = 0.05
HELD_SECONDS = 0.1
"""A new pitch that lasts this long is a note of its own, also without an onset."""

MIN_STEADY_SHARE = 0.8
"""Of the notes' frames that keep to their note's pitch: 0.9 to 1 in a bass, 0.6 to 0.8 in speech."""

MIN_CONFIDENCE = 0.15
"""Plain waves, which the network has hardly met, get 0.25 to 0.5; noise less than 0.1."""

DECAY_DB = 12.0
"""A note has ended where it is this much softer than its loudest moment."""

MIN_RISE_DB = 3.0
"""Of a note's harmonics at its onset: mostly 10 to 40, 5 if repeated legato; leaked drums add 0 to 5."""

HARMONICS = 5
HARMONICS_IN_SONG = 2
"""The lowest, over which other instruments lie least. Separation tears holes into held notes, whose ends look
like onsets in the stem; the song has no holes."""

SMEAR_SECONDS, EARLY_SECONDS = 0.11, 0.03
"""Separation looks through windows of some 0.1 s, which smear attacks: a stem's onset comes this much later
than the song's, or this much earlier, and is the same."""

RISING = 0.1
"""Share of an onset's strength that the stem must show at the song's onset, if it is the same."""

WINDOW = 2048
HIGHEST_BIN = int(HARMONICS * 440 * WINDOW / ANALYSIS_RATE)
"""The fifth harmonic of 440 Hz, above which no bass is tracked."""

QUIET_DB = 40.0
"""Below the part's loudest moment: not played."""

Values = NDArray[np.float64]


def transcribe_bass(
    *, sound: Sound, track: PitchTrack, onsets: Curve, song: Sound | None = None, tuning_cents: float = 0.0
) -> list[Note]:
    """Find the notes of a bass; none where it shows no pitch.

    Onsets cut the part into pieces. A piece whose pitch holds is a note if its own harmonics rise at the
    onset, in the stem and in the song; if they don't, something else was struck that leaks into the stem or
    was torn out of it, and the note before goes on.

    Parameters
    ----------
    sound : Sound
        The bass.
    track : PitchTrack
        Tracked with `is_bass`.
    onsets : ndarray
        Onset strength of the same sound, (frames,) at FRAME_RATE.
    song : Sound, optional
        All stems together; without it the stem alone is asked.
    tuning_cents : float
        How far the song is tuned above A4 = 440 Hz; pitches are counted from there.
    """
    if len(track.times) < 2 or track.confidence.max() < MIN_CONFIDENCE:
        return []
    pitch = track.midi - tuning_cents / 100
    struck = onset_times(onsets)
    if song is not None:
        struck = _sharpened(struck, onsets, onset_times(onset_strength(song)))
    edges = _edges(track, struck, np.round(pitch))
    floor = track.level.max() - QUIET_DB
    stem, whole = _magnitude(sound), None if song is None else _magnitude(song)
    pieces: list[_Piece] = []
    for start, end in itertools.pairwise(edges):
        piece = _piece(track, pitch, start, end, floor)
        if piece is None:
            continue
        rises = _rise(stem, piece, tuning_cents) >= MIN_RISE_DB
        if rises and (whole is None or _rise_in_song(whole, piece, tuning_cents) >= MIN_RISE_DB):
            pieces.append(piece)
        elif (
            pieces and pieces[-1].pitch == piece.pitch and piece.onset - pieces[-1].offset < SETTLING_SECONDS
        ):
            pieces[-1] = pieces[-1]._replace(offset=piece.offset)
    if not pieces or steady_share(pitch, [_settled(track, piece) for piece in pieces]) < MIN_STEADY_SHARE:
        return []
    loudness = velocities(np.array([piece.level for piece in pieces]))
    return [
        Note(
            onset=piece.onset,
            offset=piece.offset,
            pitch=piece.pitch,
            velocity=velocity,
            confidence=piece.confidence,
        )
        for piece, velocity in zip(pieces, loudness, strict=True)
    ]


class _Piece(NamedTuple):
    onset: float
    offset: float
    pitch: int
    confidence: float
    level: float
    """dBFS."""


def _settled(track: PitchTrack, piece: _Piece) -> NDArray[np.bool_]:
    """The frames that show a piece's pitch."""
    start = piece.onset + min(SETTLING_SECONDS, SETTLING_SHARE * (piece.offset - piece.onset))
    within: NDArray[np.bool_] = (track.times >= start) & (track.times < piece.offset - 0.02)
    return within & (track.confidence > MIN_CONFIDENCE)


def _magnitude(sound: Sound) -> Magnitudes:
    return np.hstack([block[:HIGHEST_BIN] for block in magnitudes(sound, window=WINDOW, hop=HOP)])


def _rise(magnitude: Magnitudes, piece: _Piece, tuning_cents: float) -> float:
    """How much the harmonics of a piece's pitch, taken together, rise at its onset, in dB."""
    return _rise_of(_harmonics(magnitude, piece, tuning_cents).sum(axis=0), piece.onset)


def _rise_in_song(magnitude: Magnitudes, piece: _Piece, tuning_cents: float) -> float:
    """How much the lowest harmonics rise on average, in dB: each may be covered by another instrument."""
    harmonics = _harmonics(magnitude, piece, tuning_cents)[:HARMONICS_IN_SONG]
    return float(np.mean([_rise_of(strength, piece.onset) for strength in harmonics]))


def _harmonics(magnitude: Magnitudes, piece: _Piece, tuning_cents: float) -> Magnitudes:
    """Magnitudes of the harmonics of a piece's pitch, (HARMONICS, frames)."""
    hertz = 440 * 2 ** ((piece.pitch - 69 + tuning_cents / 100) / 12)
    bins = np.round(np.arange(1, HARMONICS + 1) * hertz * WINDOW / ANALYSIS_RATE).astype(int)
    return np.stack([magnitude[each - 1 : each + 2].max(axis=0) for each in bins])


def _rise_of(strength: NDArray[np.float32], onset_seconds: float) -> float:
    onset = round(onset_seconds * FRAME_RATE)
    before, after = strength[max(0, onset - 7) : onset + 3], strength[onset : onset + 8]
    if not len(after):
        return 0.0
    if onset < 3:  # it sounds from the start
        return MIN_RISE_DB
    return float(20 * np.log10((after.max() + 1e-6) / (before.min() + 1e-6)))


def _sharpened(struck: Values, onsets: Curve, in_song: Values) -> Values:
    """Onsets of a stem at the times that the song shows for them; those it doesn't show stay as they are."""
    sharp = []
    for time in struck:
        near = in_song[(in_song > time - SMEAR_SECONDS) & (in_song < time + EARLY_SECONDS)]
        rising = [each for each in near if _strength(onsets, each) > RISING * _strength(onsets, time)]
        sharp.append(min(rising, key=lambda each: abs(each - time), default=time))
    return np.unique(sharp)


def _strength(onsets: Curve, time: float) -> float:
    frame = round(time * FRAME_RATE)
    return float(onsets[max(0, frame - 2) : frame + 3].max())


def _edges(track: PitchTrack, struck: Values, rounded: Values) -> list[float]:
    """Times at which a note may begin, and the end."""
    step = track.times[1] - track.times[0]
    held = max(2, round(HELD_SECONDS / step))
    steady = np.array(
        [len(set(rounded[i : i + held])) == 1 for i in range(len(rounded) - held + 1)] + [False] * (held - 1)
    )
    changes, last = [], np.nan
    for i in np.flatnonzero(steady & (track.confidence > MIN_CONFIDENCE)):
        if rounded[i] != last and not np.isnan(last):
            changes.append(track.times[i] - step / 2)
        last = rounded[i]
    apart = SETTLING_SECONDS + step
    slurred = [time for time in changes if not len(struck) or np.abs(struck - time).min() > apart]
    return sorted([0.0, *struck, *slurred, float(track.times[-1] + step)])


def _piece(track: PitchTrack, pitch: Values, start: float, end: float, floor: float) -> _Piece | None:
    """What sounds between two times, if it has a pitch."""
    settled = min(SETTLING_SECONDS, SETTLING_SHARE * (end - start))
    inside = (track.times > start + settled) & (track.times < end - 0.01)
    whole = (track.times >= start) & (track.times < end)
    if not inside.any() or end - start < SHORTEST_SECONDS:
        return None
    level = track.level[whole]
    # The last frames hear the next note begin.
    loudest = float(track.level[whole & (track.times < end - 0.02)].max(initial=level[0]))
    sounding = inside & (track.level > max(floor, loudest - DECAY_DB)) & (track.confidence > MIN_CONFIDENCE)
    if not sounding.any():
        return None
    weights = track.confidence[sounding]
    rounded = np.round(pitch[sounding]).astype(int)
    numbers = np.unique(rounded)
    votes = np.array([weights[rounded == number].sum() for number in numbers])
    number = int(numbers[votes.argmax()])
    confidence = float(weights[rounded == number].max() * votes.max() / votes.sum())
    until = track.times[np.flatnonzero(whole)[np.flatnonzero(level > max(floor, loudest - DECAY_DB))[-1]]]
    offset = float(min(end, until + (track.times[1] - track.times[0])))
    if offset - start < SHORTEST_SECONDS:
        return None
    return _Piece(start, offset, number, min(1.0, confidence), loudest)
