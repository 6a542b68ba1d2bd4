"""The generator of songs: that its truth is true, and that both halves hold all that the scores are about."""

from collections import Counter
from dataclasses import replace

import librosa
import numpy as np
import pytest
import soundfile as sf

from benchmarks.analysis.arrangement import compose, truth_of_score
from benchmarks.analysis.harmony import QUALITIES, Chord
from benchmarks.analysis.outline import FIRST_TRAINING_SONG, SHORT_SONGS, SONGS, draw
from benchmarks.analysis.songs import STEMS, Truth, numbers_of, song_folder
from benchmarks.analysis.timeline import Timeline
from shared.keys import PITCH_CLASSES

RATE = 44_100


@pytest.mark.parametrize("half", ["dev", "test"])
def test_each_half_has_all_that_is_scored(half: str) -> None:
    outlines = [draw(number) for number in numbers_of(half)]
    assert len(outlines) == SONGS // 2
    assert {(outline.tonic, outline.mode) for outline in outlines} >= {
        (tonic, mode) for tonic in range(12) for mode in ("major", "minor")
    }
    meters = Counter(outline.meter.name for outline in outlines)
    assert min(meters[name] for name in ("2/4", "3/4", "4/4", "6/8")) >= 3
    tempi = [outline.bpm for outline in outlines]
    assert min(tempi) < 70 and max(tempi) > 180
    for trait, least in {"drift": 4, "drums": 4, "harmony": 3, "fade": 4}.items():
        assert len({getattr(outline, trait) for outline in outlines}) == least
    tunings = [outline.a4 for outline in outlines]
    assert min(tunings) < 433 and max(tunings) > 447 and tunings.count(440.0) >= 10
    assert sum(outline.swing > 1 for outline in outlines) >= 5
    assert sum(outline.modulation > 0 for outline in outlines) >= 5
    assert sum(not outline.has_vocals for outline in outlines) >= 3


def test_songs_to_train_on_are_of_the_dev_half_alone() -> None:
    outlines = [draw(number) for number in range(FIRST_TRAINING_SONG, FIRST_TRAINING_SONG + 64, 2)]
    assert {outline.half for outline in outlines} == {"dev"}
    assert not {outline.bpm for outline in outlines} & {draw(number).bpm for number in range(SONGS)}
    with pytest.raises(ValueError, match="no song"):
        draw(FIRST_TRAINING_SONG + 1)


@pytest.mark.parametrize("number", [*range(SONGS), *SHORT_SONGS])
def test_a_song_is_laid_out_soundly(number: int) -> None:
    outline = draw(number)
    assert outline == draw(number)
    truth = truth_of_score(compose(outline))
    beats, chords, sections = truth["beats"], truth["chords"], truth["sections"]
    assert (np.diff(beats) > 0.25).all()
    assert truth["downbeats"] == beats[:: outline.meter.beats]
    for spans in (chords, sections, truth["keyRegions"]):
        assert [span["end"] for span in spans[:-1]] == [span["start"] for span in spans[1:]]
        assert spans[0]["start"] == beats[0] == outline.lead_in
        assert spans[-1]["end"] > beats[-1]
    assert len(chords) >= 4
    assert 12 < sections[-1]["end"] < 50


def test_there_is_no_song_beyond_the_last() -> None:
    with pytest.raises(ValueError, match=f"no song {SONGS}"):
        draw(SONGS)


def test_the_tempo_drifts_by_six_per_cent_and_eighths_swing() -> None:
    straight = replace(draw(0), bpm=120.0, lead_in=1.0, drift="rising")
    clock = Timeline(straight, 41)
    assert clock.tempi[-1] / clock.tempi[0] == pytest.approx(1.06)
    assert clock.bpm == pytest.approx(120 * 1.03)
    assert clock.second(0) == 1.0
    swung = Timeline(replace(draw(2), bpm=60.0, lead_in=0.0, drift="steady", swing=2.0), 4)
    assert swung.seconds([0, 0.5, 1, 1.5]) == pytest.approx([0, 2 / 3, 1, 5 / 3])


@pytest.mark.parametrize(
    ("chord", "name"),
    [(Chord(2, "min", 3), "D:min/b3"), (Chord(1, "hdim7"), "C#:hdim7"), (Chord(0, "maj", 7), "C:maj/5")],
)
def test_chords_have_harte_names(chord: Chord, name: str) -> None:
    assert chord.harte == name
    assert len(chord.tones) == len(QUALITIES[chord.quality])


def test_the_stems_sum_to_the_mix(short_song: int) -> None:
    folder = song_folder(short_song)
    stems = [sf.read(folder / f"{stem}.wav")[0] for stem in STEMS]
    mix, rate = sf.read(folder / "mix.wav")
    assert rate == RATE
    assert np.abs(sum(stems) - mix).max() < 4 / 2**15
    assert np.abs(mix).max() == pytest.approx(0.9, abs=0.01)


def test_drums_sound_when_the_truth_says(short_song: int, truth: Truth) -> None:
    drums, _ = sf.read(song_folder(short_song) / "drums.wav")
    envelope = np.abs(drums).max(axis=1)
    kicks = [hit["time"] for hit in truth["drums"] if hit["drum"] in ("kick", "snare")]
    rises = [
        envelope[int(at * RATE) : int((at + 0.02) * RATE)].max()
        / (1e-4 + envelope[int((at - 0.02) * RATE) : int((at - 0.005) * RATE)].max())
        for at in kicks
        if at > 0.05
    ]
    assert np.median(rises) > 3


def test_the_chords_tones_are_the_loudest(short_song: int, truth: Truth) -> None:
    other, _ = sf.read(song_folder(short_song) / "other.wav", dtype="float32")
    tuning = 12 * np.log2(truth["tuning"] / 440)
    chroma = librosa.feature.chroma_cqt(y=other.mean(axis=1), sr=RATE, tuning=tuning, hop_length=1024)
    right = []
    for chord in truth["chords"]:
        first, last = (int(chord[edge] * RATE / 1024) for edge in ("start", "end"))
        root, _, quality = chord["chord"].partition("/")[0].partition(":")
        tones = Chord(PITCH_CLASSES.index(root), quality).tones
        loudest = np.argsort(chroma[:, first + 2 : last].mean(axis=1))[-3:]
        right.append(len(set(loudest) & set(tones)) / 3)
    assert np.mean(right) > 0.85


def test_the_voice_has_the_pitch_of_the_truth(short_song: int, truth: Truth) -> None:
    vocals, _ = sf.read(song_folder(short_song) / "vocals.wav", dtype="float32")
    f0, hop = np.array(truth["vocals"]["f0"]), truth["vocals"]["hop"]
    voice = vocals.mean(axis=1)
    deviations = []
    for frame in np.flatnonzero(f0)[::25]:
        middle, period = int(frame * hop * RATE), RATE / f0[frame]
        span = voice[middle - 1024 : middle + 1024] * np.hanning(2048)
        if len(span) < 2048:
            continue
        correlation = np.correlate(span, span, "full")[2047:]
        near = slice(int(period * 0.8), int(period * 1.25) + 1)
        found = near.start + int(np.argmax(correlation[near]))
        deviations.append(12 * np.log2(period / found))
    assert len(deviations) > 10
    assert np.mean(np.abs(deviations) < 0.5) > 0.9
