import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile as sf

from gpu_worker.analysis import metrics
from gpu_worker.analysis.rhythm import track_rhythm
from gpu_worker.analysis.song import analyse_song
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound, load_sound
from gpu_worker.analysis.tonality import find_key
from shared.keys import MusicalKey
from shared.models import StemMeasures, StemType

RATE = 44_100


def sound(samples: np.ndarray) -> Sound:
    return Sound(samples.astype("float32"))


def clicks(bpm: float, seconds: float = 20, rate: int = ANALYSIS_RATE) -> np.ndarray:
    times = np.arange(0.3, seconds, 60 / bpm)
    return librosa.clicks(times=times, sr=rate, length=int(seconds * rate))


def triad(key: MusicalKey, seconds: float = 6, rate: int = ANALYSIS_RATE) -> np.ndarray:
    """Tonic, subdominant and dominant triads of the key."""
    third = 4 if key.mode == "major" else 3
    time = np.arange(int(seconds / 3 * rate)) / rate
    parts = []
    for root in (0, 5, 7):
        pitches = [48 + key.tonic + root + step for step in (0, third, 7)]
        parts.append(sum(np.sin(2 * np.pi * librosa.midi_to_hz(pitch) * time) for pitch in pitches) / 4)
    return np.concatenate(parts)


@pytest.mark.parametrize("bpm", [70, 96.5, 120, 133.7, 160])
def test_the_tempo_of_a_pulse_train(bpm: float):
    rhythm = track_rhythm(sound(clicks(bpm)))
    assert rhythm is not None
    ratio = rhythm.bpm / bpm
    assert min(abs(ratio - octave) for octave in (0.5, 1, 2)) < 0.01
    assert rhythm.confidence > 0.8


def test_beats_fall_on_the_clicks():
    rhythm = track_rhythm(sound(clicks(120)))
    assert rhythm is not None
    distances = [min(abs(beat - click) for click in np.arange(0.3, 20, 0.5)) for beat in rhythm.beats]
    assert max(distances) < 0.05


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(ANALYSIS_RATE * 5),
        np.zeros(0),
        0.1 * np.random.default_rng(1).standard_normal(ANALYSIS_RATE * 10),
        np.sin(2 * np.pi * 440 * np.arange(ANALYSIS_RATE * 10) / ANALYSIS_RATE),
        clicks(120, seconds=0.9),
    ],
    ids=["silence", "nothing", "noise", "sine", "one click"],
)
def test_no_tempo_is_invented(samples: np.ndarray):
    assert track_rhythm(sound(samples)) is None


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_cadence(tonic: int, mode: str):
    key = MusicalKey(tonic, mode)
    found = find_key(sound(triad(key)))
    assert found is not None
    assert found.key == key
    assert 0 < found.confidence <= 1


@pytest.mark.parametrize(
    "samples",
    [np.zeros(ANALYSIS_RATE * 5), 0.1 * np.random.default_rng(2).standard_normal(ANALYSIS_RATE * 10)],
    ids=["silence", "noise"],
)
def test_no_key_is_invented(samples: np.ndarray):
    assert find_key(sound(samples)) is None


def test_levels_of_a_full_scale_sine(tmp_path: Path):
    path = tmp_path / "sine.wav"
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    sf.write(path, np.repeat(sine[:, None], 2, 1), RATE, subtype="FLOAT")
    measured = metrics.measure(path, load_sound(path))
    assert measured.rms_level == pytest.approx(-3.01, abs=0.01)
    assert measured.peak_level == pytest.approx(0, abs=0.01)
    assert measured.loudness_lufs == pytest.approx(0, abs=0.1)  # BS.1770: 997 Hz in both channels
    assert measured.spectral_centroid == pytest.approx(997, rel=0.05)
    assert measured.zero_crossing_rate == pytest.approx(2 * 997 / ANALYSIS_RATE, rel=0.05)
    assert measured.silence_ratio == pytest.approx(0, abs=0.02)


def test_silence_has_no_levels(tmp_path: Path):
    path = tmp_path / "silence.wav"
    sf.write(path, np.zeros((RATE, 2)), RATE)
    measured = metrics.measure(path, load_sound(path)).to_dict()
    expected = dict.fromkeys(measured) | {"onset_rate": 0.0, "silence_ratio": 1.0}
    assert measured == expected


def test_half_silence_is_half_silent(tmp_path: Path):
    path = tmp_path / "half.wav"
    noise = 0.1 * np.random.default_rng(3).standard_normal((4 * RATE, 2))
    noise[: 2 * RATE] = 0
    sf.write(path, noise, RATE)
    assert metrics.measure(path, load_sound(path)).silence_ratio == pytest.approx(0.5, abs=0.02)


def test_onsets_are_counted(tmp_path: Path):
    path = tmp_path / "clicks.wav"
    sf.write(path, 0.5 * clicks(120, 10, RATE), RATE)
    assert metrics.measure(path, load_sound(path)).onset_rate == pytest.approx(2, abs=0.2)


def test_reduction_in_blocks_equals_reduction_at_once(tmp_path: Path):
    """Longer than one block: no seam may be heard in the measures."""
    path = tmp_path / "long.wav"
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(65 * RATE) / RATE)
    sf.write(path, sine, RATE, subtype="FLOAT")
    reduced = load_sound(path).samples
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(reduced)) / ANALYSIS_RATE)
    assert len(reduced) == pytest.approx(65 * ANALYSIS_RATE, abs=2)
    inner = slice(1000, -1000)
    assert np.abs(reduced[inner] - wanted[inner]).max() < 1e-3


@pytest.fixture
def stems(tmp_path: Path) -> dict[StemType, Path]:
    """A song of known tempo and key whose vocals are silent."""
    content = {
        StemType.DRUMS: 0.5 * clicks(110, 18, RATE),
        StemType.BASS: 0.3 * np.tile(triad(MusicalKey(1, "major"), 6, RATE), 3),
        StemType.OTHER: 0.3 * np.tile(triad(MusicalKey(1, "major"), 6, RATE), 3),
        StemType.VOCALS: np.zeros(18 * RATE),
    }
    paths = {stem: tmp_path / f"{stem.lower()}.wav" for stem in content}
    for stem, samples in content.items():
        sf.write(paths[stem], samples, RATE)
    return paths


def test_a_song_is_analysed_from_its_stems(stems: dict[StemType, Path]):
    result = analyse_song(stems)
    assert result.song["bpm"] == pytest.approx(110, rel=0.01)
    assert result.song["key"] == "C# major"
    drums, vocals = result.stems[StemType.DRUMS], result.stems[StemType.VOCALS]
    assert drums["camelot"] == "3B"
    assert len(drums["beats"]) > 20
    assert "bpm" not in vocals
    assert vocals["unmeasured"]["bpm"] == "the stem is silent"
    json.dumps([result.song, result.stems], allow_nan=False)


def test_what_is_null_has_a_reason(stems: dict[StemType, Path]):
    for values in analyse_song(stems).stems.values():
        record = StemMeasures.model_validate(values).to_wire()
        musical = (
            "bpm",
            "key",
            "camelot",
            "timeSignature",
            "tuning",
            "chordProgression",
            "beats",
            "sections",
        )
        for name in (*musical, "notationData"):
            assert (record[name] is None) == (name in record["unmeasured"]), name
