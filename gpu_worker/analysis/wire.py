"""What was found, under the wire names of the records; what was not is null, and has a reason."""

from typing import Any

from pydantic.alias_generators import to_camel

from gpu_worker.analysis.harmony import Harmony
from gpu_worker.analysis.metrics import AudioMetrics
from gpu_worker.analysis.rhythm import Rhythm
from gpu_worker.analysis.sections import Section
from gpu_worker.notation.export import NO_BARS

SILENT = "the stem is silent"
PULSE_READINGS = "pulse readings"
"""The way of rhythm.track_rhythm to find beats, as `beatTracker` names it; a network has its label."""

NO_PULSE = "no steady pulse was found"
NO_SECTIONS = "nothing tells the sections apart"
NO_KEY = "no key stands out"
NO_CHORDS = "no chords were found"
NO_TUNING = "no tones agree on a tuning"
NO_LOUDNESS = "below -70 LUFS, or shorter than 0.4 s"
NOT_STEREO = "the stem has not two channels"
TOO_SOFT = "the stem is nowhere above -60 dBFS"
MUSIC = (
    "bpm",
    "key",
    "camelot",
    "timeSignature",
    "tuning",
    "chordProgression",
    "beats",
    "beatTracker",
    "sections",
    "notationData",
)

LIKELY = 0.05
"""Weight from which on another tempo is worth telling."""


def song_values(rhythm: Rhythm | None, harmony: Harmony, shared: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of the song as a whole."""
    alternative = rhythm and rhythm.alternative
    if alternative and alternative.weight < LIKELY:
        alternative = None
    regions = harmony.tonality.regions if harmony.tonality else []
    return {
        **{name: shared[name] for name in ("bpm", "key", "timeSignature", "tuning", "beatTracker")},
        "alternativeBpm": alternative
        and {"bpm": round(alternative.bpm, 2), "weight": round(alternative.weight, 3)},
        "swingRatio": rhythm and rhythm.swing and round(rhythm.swing, 3),
        "keyRegions": [
            {
                "start": round(region.start, 3),
                "end": round(region.end, 3),
                "key": region.key.name,
                "confidence": round(region.confidence, 3),
            }
            for region in regions
        ]
        or None,
    }


def stem_values(music: dict[str, Any] | None, metrics: dict[str, Any]) -> dict[str, Any]:
    """Put together what a stem shares with its song, None if it is silent, and what is its own."""
    otherwise = TOO_SOFT if music else SILENT
    music = music or {"unmeasured": dict.fromkeys(MUSIC, SILENT)}
    known = {"loudnessLufs": NO_LOUDNESS, "stereoWidth": NOT_STEREO}
    reasons = {name: known.get(name, otherwise) for name, value in metrics.items() if value is None}
    return {**music, **metrics, "unmeasured": music["unmeasured"] | reasons}


def shared_values(
    rhythm: Rhythm | None, harmony: Harmony, sections: list[Section], beat_tracker: str
) -> dict[str, Any]:
    """Return what belongs to the song and stands in each of its sounding stems."""
    is_network = beat_tracker != PULSE_READINGS
    no_pulse = f"{beat_tracker} found no steady beats" if is_network else NO_PULSE
    no_bars = f"the bars that {beat_tracker} found are irregular" if rhythm and is_network else NO_BARS
    bars = rhythm and rhythm.bars
    tonality, tuning = harmony.tonality, harmony.tuning
    unmeasured: dict[str, str] = {}
    if rhythm is None:
        unmeasured |= dict.fromkeys(("bpm", "beats", "beatTracker"), no_pulse)
    if bars is None:
        unmeasured["timeSignature"] = no_bars
    if not sections:
        unmeasured["sections"] = NO_SECTIONS
    if tonality is None:
        unmeasured |= {"key": NO_KEY, "camelot": NO_KEY}
    if tuning is None:
        unmeasured["tuning"] = NO_TUNING
    if not harmony.chords:
        unmeasured["chordProgression"] = NO_CHORDS
    return {
        "bpm": rhythm and round(rhythm.bpm, 2),
        "key": tonality and tonality.key.name,
        "camelot": tonality and tonality.key.camelot,
        "timeSignature": bars and bars.time_signature,
        "tuning": tuning and round(tuning.a4, 2),
        "confidence": {
            "bpm": rhythm and round(rhythm.confidence, 3),
            "key": tonality and round(tonality.confidence, 3),
            "timeSignature": bars and round(bars.confidence, 3),
            "tuning": tuning and round(tuning.confidence, 3),
        },
        "beats": rhythm and _beats(rhythm),
        "beatTracker": rhythm and beat_tracker,
        "sections": [
            {
                "start": round(section.start, 3),
                "end": round(section.end, 3),
                "label": section.label,
                "confidence": round(section.confidence, 3),
            }
            for section in sections
        ]
        or None,
        "chordProgression": [
            {
                "start": round(chord.start, 3),
                "end": round(chord.end, 3),
                "chord": chord.name,
                "confidence": round(chord.confidence, 3),
            }
            for chord in harmony.chords
        ]
        or None,
        "unmeasured": unmeasured,
    }


def _beats(rhythm: Rhythm) -> list[dict[str, Any]]:
    """Return the beats; where the tempo varies each has its own."""
    beats: list[dict[str, Any]] = [{"time": round(float(time), 3)} for time in rhythm.beats]
    if rhythm.bars is not None:
        for beat, position in zip(beats, rhythm.bars.positions, strict=True):
            beat["position"] = int(position)
    if rhythm.tempo_curve is not None:
        for beat, bpm in zip(beats, rhythm.tempo_curve, strict=True):
            beat["bpm"] = round(float(bpm), 2)
    return beats


def metrics_values(metrics: AudioMetrics) -> dict[str, Any]:
    """Return the metrics under their wire names."""
    return {to_camel(name): value for name, value in metrics.to_dict().items()}
