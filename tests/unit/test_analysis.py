import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile as sf

from gpu_worker.analysis import metrics
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.song import analyse_song
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound, load_sound
from shared.keys import MusicalKey
from shared.models import Confidence, SongMusic, StemMeasures, StemType
from tests.unit.test_rhythm import Band

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


def test_levels_of_a_full_scale_sine(tmp_path: Path):
    path = tmp_path / "sine.wav"
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    sf.write(path, np.repeat(sine[:, None], 2, 1), RATE, subtype="FLOAT")
    measured = metrics.measure(path, Features(load_sound(path)))
    assert measured.rms_level == pytest.approx(-3.01, abs=0.01)
    assert measured.peak_level == pytest.approx(0, abs=0.01)
    assert measured.loudness_lufs == pytest.approx(0, abs=0.1)  # BS.1770: 997 Hz in both channels
    assert measured.spectral_centroid == pytest.approx(997, rel=0.05)
    assert measured.zero_crossing_rate == pytest.approx(2 * 997 / ANALYSIS_RATE, rel=0.05)
    assert measured.silence_ratio == pytest.approx(0, abs=0.02)


def test_silence_has_no_levels(tmp_path: Path):
    path = tmp_path / "silence.wav"
    sf.write(path, np.zeros((RATE, 2)), RATE)
    measured = metrics.measure(path, Features(load_sound(path))).to_dict()
    expected = dict.fromkeys(measured) | {
        "onset_rate": 0.0,
        "silence_ratio": 1.0,
        "clipping_count": 0,
        "active_regions": [],
    }
    assert measured == expected


def test_half_silence_is_half_silent(tmp_path: Path):
    path = tmp_path / "half.wav"
    noise = 0.1 * np.random.default_rng(3).standard_normal((4 * RATE, 2))
    noise[: 2 * RATE] = 0
    sf.write(path, noise, RATE)
    assert metrics.measure(path, Features(load_sound(path))).silence_ratio == pytest.approx(0.5, abs=0.02)


def test_onsets_are_counted(tmp_path: Path):
    path = tmp_path / "clicks.wav"
    sf.write(path, 0.5 * clicks(120, 10, RATE), RATE)
    assert metrics.measure(path, Features(load_sound(path))).onset_rate == pytest.approx(2, abs=0.2)


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
    # The first chord comes with the first click, and four clicks go to each.
    chords = (
        0.3 * np.pad(np.tile(triad(MusicalKey(1, "major"), 6, RATE), 3), (int(0.3 * RATE), 0))[: 18 * RATE]
    )
    content = {
        StemType.DRUMS: 0.5 * clicks(120, 18, RATE),
        StemType.BASS: chords,
        StemType.OTHER: chords,
        StemType.VOCALS: np.zeros(18 * RATE),
    }
    paths = {stem: tmp_path / f"{stem.lower()}.wav" for stem in content}
    for stem, samples in content.items():
        sf.write(paths[stem], samples, RATE)
    return paths


def test_a_song_is_analysed_from_its_stems(stems: dict[StemType, Path]):
    result = analyse_song(stems)
    assert result.song["bpm"] == pytest.approx(120, rel=0.01)
    assert result.song["key"] == "C# major"
    drums, vocals = result.stems[StemType.DRUMS], result.stems[StemType.VOCALS]
    assert drums["camelot"] == "3B"
    assert len(drums["beats"]) > 20
    strokes = drums["notationData"]["notes"]
    assert len(strokes) > 10  # a click is no drum: some are missed, none is between the steps
    assert all(stroke["beat"] % 0.5 == 0 for stroke in strokes)
    assert np.dot(drums["similarity"], drums["similarity"]) == pytest.approx(3, abs=0.01)
    assert set(drums["leakage"]) == {"Bass", "Other"}
    assert result.stems[StemType.BASS]["leakage"]["Other"] == pytest.approx(1)
    assert "bpm" not in vocals
    assert vocals["unmeasured"]["bpm"] == "the stem is silent"
    json.dumps([result.song, result.stems], allow_nan=False)


def test_stems_heard_side_by_side_give_what_they_give_one_after_the_other(stems: dict[StemType, Path]):
    assert analyse_song(stems, threads=1) == analyse_song(stems)


def test_what_leaked_into_the_drums_marks_no_beats(tmp_path: Path):
    """Separation leaves a little of the others in the stem of drums that the song does not have."""
    parts = Band(100).stems()
    silence = np.zeros_like(parts["bass"].samples)
    leak = 0.02 * clicks(137, len(silence) / ANALYSIS_RATE)
    found = []
    for name, drums in (("silent", silence), ("leaky", np.resize(leak, len(silence)))):
        samples = dict.fromkeys(StemType, silence) | {
            StemType.DRUMS: drums,
            StemType.BASS: parts["bass"].samples,
            StemType.OTHER: parts["other"].samples,
        }
        paths = {stem: tmp_path / f"{name}-{stem}.wav" for stem in samples}
        for stem, path in paths.items():
            sf.write(path, samples[stem], ANALYSIS_RATE)
        found.append(analyse_song(paths).stems[StemType.BASS]["beats"])
    assert found[0] is not None
    assert found[1] == found[0]


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
        metrics = (
            "loudnessLufs",
            "truePeakLevel",
            "stereoWidth",
            "spectralFlatness",
            "leakage",
            "similarity",
        )
        for name in (*musical, *metrics, "notationData"):
            assert (record[name] is None) == (name in record["unmeasured"]), name


def test_stems_carry_their_own_notes(stems: dict[StemType, Path]):
    result = analyse_song(stems)
    strokes = result.stems[StemType.DRUMS]["notationData"]["notes"]
    assert {"kick", "snare", "hihat_closed", "hihat_open", "tom", "cymbal", "percussion"} >= {
        stroke["drum"] for stroke in strokes
    }
    onsets = np.array([stroke["onset"] for stroke in strokes])
    assert np.abs((onsets - 0.3 + 0.25) % 0.5 - 0.25).max() < 0.05, "on the clicks"
    chords = result.stems[StemType.OTHER]["notationData"]["notes"]
    assert {note["pitch"] % 12 for note in chords} <= {0, 1, 3, 5, 6, 8, 10}, "of C# major"
    assert all(note["onset"] < note["offset"] and note["beats"] > 0 for note in chords)
    silent = result.stems[StemType.VOCALS]
    assert (silent.get("notationData"), silent["unmeasured"]["notationData"]) == (None, "the stem is silent")


def test_the_song_says_its_keys_in_order(stems: dict[StemType, Path]):
    song = analyse_song(stems).song
    [region] = song["keyRegions"]
    assert region["key"] == "C# major"
    assert 0 < region["confidence"] <= 1
    SongMusic.model_validate(song)


def test_what_is_measured_says_how_sure_it_is(stems: dict[StemType, Path]):
    bass = analyse_song(stems).stems[StemType.BASS]
    sure = Confidence.model_validate(bass["confidence"])
    for name, value in sure.model_dump(by_alias=True).items():
        assert bass[name] is not None
        assert 0 < value <= 1, name
