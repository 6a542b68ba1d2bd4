"""Fit the weights of meter and sections to songs of the dev half: `python -m benchmarks.analysis.fit_rhythm`.

Besides the dev half itself, more songs of the same generator are rendered, without vocals, whose numbers no
score uses. Needs scikit-learn. Writes gpu_worker/analysis/{meter,sections}.npy.
"""

from collections.abc import Iterator
from typing import NamedTuple

import mir_eval
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from benchmarks.analysis import bass_part, drum_part, other_part
from benchmarks.analysis.arrangement import compose, truth_of_score
from benchmarks.analysis.meters import METERS as TRUE_METERS
from benchmarks.analysis.outline import FORMS, TARGET_SECONDS, Outline, _section_bars
from benchmarks.analysis.songs import Truth, numbers_of, read_truth, song_folder
from gpu_worker.analysis import meter, sections
from gpu_worker.analysis.drums import find_onsets
from gpu_worker.analysis.features import Features
from gpu_worker.analysis.meter import METERS
from gpu_worker.analysis.onsets import FRAME_RATE
from gpu_worker.analysis.rhythm import hear, read
from gpu_worker.analysis.sound import ANALYSIS_RATE, Sound, load_sound
from gpu_worker.separation.preview.render.clip import SAMPLE_RATE, Clip, Session
from gpu_worker.separation.preview.render.effects import produce

EXTRA = range(1000, 1176, 2)
SHARED_PENALTY, OWN_PENALTY = 1.0, 10.0
SECTION_STRENGTH = 0.1
GOOD = 0.85
"""Beat F from which on a pulse counts as right."""

Values = NDArray[np.float64]


class Song(NamedTuple):
    """What is fitted to."""

    evidence: Values
    """(readings, evidence)."""
    meters: NDArray[np.int64]
    """Index of each reading's meter in METERS."""
    is_right: NDArray[np.bool_]
    bar_lines: Values
    """(bars - 1, evidence)."""
    is_boundary: NDArray[np.bool_]


def main() -> None:
    """Fit and write."""
    songs = [examine(truth, stems) for truth, stems in [*_dev_songs(), *_extra_songs()]]
    np.save(meter.WEIGHTS, fit_meter([song for song in songs if song.is_right.any()]))
    np.save(sections.WEIGHTS, fit_sections(songs))


def examine(truth: Truth, stems: dict[str, Sound]) -> Song:
    """Read a song in all ways, and tell which are right."""
    accents = hear(
        drums=find_onsets(stems["drums"]), bass=Features(stems["bass"]), other=Features(stems["other"])
    )
    candidates = read(accents)
    quality = np.array([_quality(truth, reading) for reading in candidates])
    downbeats = np.array(truth["downbeats"])
    bars = np.append(downbeats, downbeats[-1] + np.median(np.diff(downbeats)))
    features = sections.bar_features(accents=accents, stems=list(stems.values()), bars=bars)
    starts = np.array([section["start"] for section in truth["sections"][1:]])
    return Song(
        evidence=np.stack([reading.evidence for reading in candidates]),
        meters=np.array([METERS.index(reading.meter) for reading in candidates]),
        is_right=(quality > 2 * GOOD + 0.8) & (quality > quality.max() - 0.15),
        bar_lines=sections.boundary_evidence(features),
        is_boundary=np.array([np.abs(starts - line).min() < 0.1 for line in downbeats[1:]]),
    )


def _quality(truth: Truth, reading: meter.Reading) -> float:
    """Beat F plus downbeat F plus 1 for the right time signature; 3 at best."""
    beats = reading.beats / FRAME_RATE
    heard = (beats > truth["beats"][0] - 0.15) & (beats < truth["beats"][-1] + 0.15)
    first = np.arange(len(beats)) % reading.meter.beats == reading.first_downbeat
    score = _f(truth["beats"], beats[heard])
    if score < GOOD:
        return 0.0
    right_meter = float(reading.meter.name == truth["timeSignature"])
    return score + _f(truth["downbeats"], beats[heard & first]) + right_meter


def _f(true: list[float], found: Values) -> float:
    trim = mir_eval.beat.trim_beats
    return float(mir_eval.beat.f_measure(trim(np.array(true)), trim(found)))


def fit_meter(songs: list[Song]) -> Values:
    """Conditional logit: weights that all meters share, and each meter's own, penalised more."""
    spread = np.concatenate([song.evidence for song in songs]).std(axis=0) + 0.05
    spread[0] = 1
    scaled = [song.evidence / spread for song in songs]
    shape = (1 + len(METERS), len(spread))
    penalty = np.repeat([[SHARED_PENALTY], *[[OWN_PENALTY]] * len(METERS)], shape[1], axis=1)
    penalty[:, 0] = 0.01

    def loss(flat: Values) -> tuple[float, Values]:
        weights = flat.reshape(shape)
        total, slope = float((penalty * weights**2).sum()), 2 * penalty * weights
        for song, evidence in zip(songs, scaled, strict=True):
            scores = (evidence * (weights[0] + weights[1:][song.meters])).sum(axis=1)
            likelihoods = np.exp(scores - scores.max())
            right = likelihoods * song.is_right
            total -= np.log(right.sum() / likelihoods.sum() + 1e-12)
            pull = (right / right.sum() - likelihoods / likelihoods.sum())[:, None] * evidence
            slope[0] -= pull.sum(axis=0)
            np.subtract.at(slope, 1 + song.meters, pull)
        return total, slope.ravel()

    fitted = minimize(loss, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    weights: Values = (fitted.reshape(shape)[0] + fitted.reshape(shape)[1:]) / spread
    return weights


def fit_sections(songs: list[Song]) -> Values:
    """Logistic regression; the bias comes last."""
    evidence = np.concatenate([song.bar_lines for song in songs])
    spread = evidence.std(axis=0) + 0.02
    model = LogisticRegression(C=SECTION_STRENGTH, max_iter=1000)
    model.fit(evidence / spread, np.concatenate([song.is_boundary for song in songs]))
    return np.append(model.coef_[0] / spread, model.intercept_)


def _dev_songs() -> Iterator[tuple[Truth, dict[str, Sound]]]:
    for number in numbers_of("dev"):
        folder = song_folder(number)
        stems = ("drums", "bass", "other", "vocals")
        yield read_truth(folder), {stem: load_sound(folder / f"{stem}.wav") for stem in stems}


def _extra_songs() -> Iterator[tuple[Truth, dict[str, Sound]]]:
    for number in EXTRA:
        outline = _outline(number)
        score = compose(outline)
        clip = Clip(score.timeline.end + 1.5, outline.bpm, outline.tonic, False, (0,), 0.5, outline.lead_in)
        stems = {}
        for place, (stem, part) in enumerate(
            {"drums": drum_part, "bass": bass_part, "other": other_part}.items()
        ):
            session = Session(clip, np.random.default_rng([number, place]))
            audio, _ = part.perform(score, session)
            if audio.any():
                audio = produce(audio, stem, session.rng)
            stems[stem] = Sound(soxr.resample(audio.mean(axis=1), SAMPLE_RATE, ANALYSIS_RATE))
        silence = Sound(np.zeros_like(stems["drums"].samples))
        yield truth_of_score(score), {**stems, "vocals": silence}


def _outline(number: int) -> Outline:
    rng = np.random.default_rng([77, number])
    chosen = TRUE_METERS[str(rng.choice(["4/4"] * 8 + ["3/4"] * 3 + ["6/8"] * 3 + ["2/4"] * 2))]
    low, high = chosen.tempi
    bpm = float(low * (high / low) ** rng.random())
    bars = _section_bars(chosen, bpm)
    parts = int(np.clip(round(TARGET_SECONDS / (bars * chosen.beats * 60 / bpm)), 3, 6))
    return Outline(
        number=number,
        meter=chosen,
        bpm=bpm,
        drift=str(rng.choice(["steady"] * 5 + ["rising", "falling", "wavering"])),
        swing=float(rng.choice([1.0] * 5 + [1.5, 1.7, 2.0])) if chosen.eighths == 2 and bpm < 180 else 1.0,
        tonic=int(rng.integers(12)),
        mode=str(rng.choice(["major", "minor"])),
        modulation=int(rng.choice([0] * 8 + [1, 2])),
        a4=440.0,
        drums=str(rng.choice(["plain"] * 6 + ["syncopated"] * 3 + ["sparse"] * 2 + ["none"])),
        harmony=str(rng.choice(["triads"] * 3 + ["sevenths"] * 2 + ["suspended"])),
        inversions=bool(rng.random() < 0.3),
        has_vocals=False,
        form=str(rng.choice(FORMS[parts])),
        section_bars=bars,
        lead_in=float(rng.choice([0.1, 0.3, 0.5, 0.8, 1.5, 3.0])),
        fade="none",
    )


if __name__ == "__main__":
    main()
