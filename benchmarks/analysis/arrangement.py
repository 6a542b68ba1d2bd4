"""The score of a song: its sections, who plays in them, and their chords."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from benchmarks.analysis.harmony import Chord, Span, progression
from benchmarks.analysis.outline import Outline
from benchmarks.analysis.timeline import Timeline
from shared.keys import PITCH_CLASSES

FUNCTIONS = {"A": "verse", "B": "chorus", "C": "bridge", "I": "intro", "O": "outro"}
CHORD_SECONDS = (0.9, 4.5)
LEAST_CHORDS = 4


@dataclass(frozen=True)
class Section:
    """A part of the form. Sections of one label are made of the same material."""

    label: str
    start: int
    """Position of the first beat, as `end` in beats from the first downbeat."""
    end: int
    tonic: int
    layers: frozenset[str]
    """Of "drums", "bass", "chords", "vocals", "lead"."""


@dataclass(frozen=True)
class Score:
    """What is to be played."""

    outline: Outline
    timeline: Timeline
    sections: list[Section]
    chords: list[Span]

    def rng(self, *purpose: str) -> Generator:
        """Random numbers of the song for one purpose: the same purpose draws the same numbers."""
        return np.random.default_rng([self.outline.number, *"/".join(purpose).encode()])

    @property
    def bar(self) -> int:
        """Beats a bar."""
        return self.outline.meter.beats

    def chord_at(self, position: float) -> Chord:
        """The chord that is written for a position in beats, whether it is played or not."""
        return next(span.chord for span in self.chords if span.end > position + 1e-6)

    def chords_of(self, section: Section) -> list[Span]:
        """The chords of a section."""
        return [span for span in self.chords if section.start <= span.start < section.end]


def compose(outline: Outline) -> Score:
    """Lay a song out."""
    rng = np.random.default_rng([outline.number, 1])
    sections = _sections(outline, rng)
    timeline = Timeline(outline, sections[-1].end)
    slot = _slot(outline, rng)
    score = Score(outline, timeline, sections, [])
    for section in sections:
        score.chords.extend(_chords(score, section, slot))
    last = score.chords.pop()
    triad = "maj" if outline.mode == "major" else "min"
    score.chords.append(Span(last.start, last.end, Chord(sections[-1].tonic, triad)))
    return score


def _sections(outline: Outline, rng: Generator) -> list[Section]:
    lead = "vocals" if outline.has_vocals else "lead"
    opening = {"chords", "bass"} if outline.drums == "none" else {"chords"}
    layers = {
        "I": [opening, {"chords", "drums"}, {"drums"}][rng.integers(2 if outline.drums == "none" else 3)],
        "A": {"drums", "bass", "chords", lead},
        "B": {"drums", "bass", "chords", lead, "full"},
        "C": {"drums", "bass", "chords", "lead"} if rng.random() < 0.6 else {"bass", "chords", lead},
        "O": {"drums", "bass", "chords"},
    }
    raised_from = len(outline.form) - (2 if len(outline.form) > 4 else 1)
    sections: list[Section] = []
    start = 0
    for place, label in enumerate(outline.form):
        bars = (
            outline.section_bars // 2 if label in "IO" and outline.section_bars > 2 else outline.section_bars
        )
        end = start + bars * outline.meter.beats
        tonic = outline.tonic + (outline.modulation if place >= raised_from else 0)
        played = layers[label] - ({"drums"} if outline.drums == "none" else set())
        sections.append(Section(label, start, end, tonic % 12, frozenset(played)))
        start = end
    return sections


def _slot(outline: Outline, rng: Generator) -> float:
    """Beats a chord lasts: a bar where that goes, else half of one or two."""
    bar = outline.meter.beats
    seconds = 60 / outline.bpm
    section = outline.section_bars * bar
    shares = [1.0, 1.0, 1.0, 2.0] + ([0.5] if bar == 4 else [])
    good = [
        bar * share
        for share in shares
        if CHORD_SECONDS[0] <= bar * share * seconds <= CHORD_SECONDS[1]
        and section / (bar * share) >= LEAST_CHORDS
    ]
    return float(rng.choice(good)) if good else section / LEAST_CHORDS


def _chords(score: Score, section: Section, slot: float) -> list[Span]:
    """The section's four chords, over and over."""
    outline = score.outline
    material = {"I": "A", "O": "B" if "B" in outline.form else "A"}.get(section.label, section.label)
    four = progression(
        score.rng("chords", material),
        tonic=section.tonic,
        mode=outline.mode,
        harmony=outline.harmony,
        inversions=outline.inversions,
        states_key=material == "A",
    )
    starts = np.arange(section.start, section.end - 1e-6, slot)
    return [
        Span(float(start), float(min(start + slot, section.end)), four[place % len(four)])
        for place, start in enumerate(starts)
    ]


def truth_of_score(score: Score) -> dict[str, object]:
    """Tempo, beats, key, chords and sections as truth.json has them."""
    outline, timeline = score.outline, score.timeline
    beats = timeline.beats[:-1]
    return {
        "bpm": timeline.bpm,
        "tempoCurve": [
            {"time": float(time), "bpm": float(bpm)} for time, bpm in zip(beats, timeline.tempi, strict=True)
        ],
        "beats": beats.tolist(),
        "downbeats": beats[:: score.bar].tolist(),
        "timeSignature": outline.meter.name,
        "swingRatio": outline.swing,
        **_keys(score),
        "tuning": outline.a4,
        "chords": _named_chords(score),
        "sections": [
            {
                "start": timeline.second(section.start),
                "end": timeline.second(section.end),
                "label": section.label,
                "function": FUNCTIONS[section.label],
            }
            for section in score.sections
        ],
    }


def _keys(score: Score) -> dict[str, object]:
    """The key regions, and as the song's key the one that lasts longest."""
    regions: list[dict[str, object]] = []
    shares: dict[str, int] = {}
    for section in score.sections:
        key = f"{PITCH_CLASSES[section.tonic]} {score.outline.mode}"
        shares[key] = shares.get(key, 0) + section.end - section.start
        start, end = (score.timeline.second(at) for at in (section.start, section.end))
        if regions and regions[-1]["key"] == key:
            regions[-1]["end"] = end
        else:
            regions.append({"start": start, "end": end, "key": key})
    return {"key": max(shares, key=lambda key: shares[key]), "keyRegions": regions}


def _named_chords(score: Score) -> list[dict[str, object]]:
    """Chords from first to last beat; N where neither bass nor chords are played."""
    named: list[dict[str, object]] = []
    for section in score.sections:
        heard = bool(section.layers & {"bass", "chords"})
        for span in score.chords_of(section):
            name = span.chord.harte if heard else "N"
            if "bass" not in section.layers:
                name = name.partition("/")[0]
            end = score.timeline.second(span.end)
            if named and named[-1]["chord"] == name:
                named[-1]["end"] = end
            else:
                named.append({"start": score.timeline.second(span.start), "end": end, "chord": name})
    return named
