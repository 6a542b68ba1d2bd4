import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.azurite import find_node
from shared.keys import ACCEPTED_FORMS, KEY_PATTERN, PITCH_CLASSES, MusicalKey, all_keys

NAMES_OF_TONICS = (
    ("C", "B#", "Dbb"),
    ("C#", "Db", "B##"),
    ("D", "C##", "Ebb"),
    ("D#", "Eb", "Fbb"),
    ("E", "Fb", "D##"),
    ("F", "E#", "Gbb"),
    ("F#", "Gb", "E##"),
    ("G", "F##", "Abb"),
    ("G#", "Ab"),
    ("A", "G##", "Bbb"),
    ("A#", "Bb", "Cbb"),
    ("B", "Cb", "A##"),
)
SIGNS = {"#": ("#", "♯", "sharp", " sharp", "-sharp"), "b": ("b", "♭", "flat", " flat", "-flat")}
DOUBLES = {"##": ("##", "♯♯", "x", "𝄪"), "bb": ("bb", "♭♭", "𝄫")}
GAPS = st.sampled_from(["", " ", "-", ":", "  ", " - "])
PADDING = st.sampled_from(["", " ", "   "])
CASES = st.sampled_from([str.lower, str.upper, str.title])


@st.composite
def spelled(draw: st.DrawFn) -> tuple[MusicalKey, str]:
    """A key and one of the ways to write it."""
    key = draw(st.sampled_from(all_keys()))
    if draw(st.booleans()):
        code = draw(st.sampled_from([key.camelot, key.open_key]))
        code = draw(st.sampled_from([code, code.zfill(3), f"{code[:-1]} {code[-1]}"]))
        return key, draw(PADDING) + draw(CASES)(code) + draw(PADDING)
    name = draw(st.sampled_from(NAMES_OF_TONICS[key.tonic]))
    accidental = draw(st.sampled_from((SIGNS | DOUBLES).get(name[1:], ("",))))
    tonic = draw(CASES)(name[0]) + (accidental if accidental in ("x", "b", "bb") else draw(CASES)(accidental))
    letter, *words = ("M", "", "maj", "major") if key.mode == "major" else ("m", "min", "minor")
    mode = draw(
        st.one_of(st.just(letter), st.sampled_from(words).flatmap(lambda word: CASES.map(lambda c: c(word))))
    )
    gap = draw(GAPS) if mode else ""
    return key, draw(PADDING) + tonic + gap + mode + draw(PADDING)


@given(spelled())
def test_every_spelling_of_a_key_is_that_key(case: tuple[MusicalKey, str]):
    key, text = case
    assert MusicalKey.parse(text) == key


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("C# major", "C# major"),
        ("c#maj", "C# major"),
        ("C#M", "C# major"),
        ("C#m", "C# minor"),
        ("Db major", "C# major"),
        ("DB MAJOR", "C# major"),
        ("C♯", "C# major"),
        ("c#", "C# major"),
        ("c# minor", "C# minor"),
        ("D♭ minor", "C# minor"),
        ("c-sharp-minor", "C# minor"),
        ("C#:min", "C# minor"),
        ("Cb", "B major"),
        ("E#", "F major"),
        ("B", "B major"),
        ("b", "B major"),
        ("bb", "A# major"),
        ("bbm", "A# minor"),
        ("bm", "B minor"),
        ("ab", "G# major"),
        ("3B", "C# major"),
        ("3b", "C# major"),
        ("03B", "C# major"),
        ("12a", "C# minor"),
        ("8d", "C# major"),
        ("8m", "A# minor"),
        ("5M", "C# minor"),
    ],
)
def test_spellings(text: str, name: str):
    assert MusicalKey.parse(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "H major",
        "Cis",
        "C# dur",
        "Cis-Moll",
        "C major minor",
        "Cm7",
        "C#b",
        "C###",
        "C b",
        "C\n",
        "C\tmajor",
        "C\0",
        "0B",
        "00B",
        "13A",
        "003B",
        "3C",
        "3",
        "B3",
        "３B",
        "Ｃ",
        "٣B",
        "C️♯",
        "\ud800",
        "C' OR 1=1",
    ],
)
def test_other_texts_are_refused_with_the_accepted_forms(text: str):
    with pytest.raises(ValueError, match="is not a key") as refusal:
        MusicalKey.parse(text)
    assert ACCEPTED_FORMS in str(refusal.value)


def test_a_long_text_is_refused_in_a_short_message():
    for text in ("C" * 10_000, " " * 41 + "C", "𝄪" * 10_000):
        with pytest.raises(ValueError, match="is not a key") as refusal:
            MusicalKey.parse(text)
        assert len(str(refusal.value)) < 300


@given(
    st.text(alphabet="ABCGMabdgmxinjor#♯♭ :-018", max_size=12)
    | spelled().map(lambda case: case[1])
    | st.text()
)
def test_what_is_parsed_leads_back_to_itself_and_the_rest_is_refused_cleanly(text: str):
    try:
        key = MusicalKey.parse(text)
    except ValueError as refusal:
        assert "is not a key" in str(refusal)
    else:
        assert {MusicalKey.parse(form) for form in (key.name, key.camelot, key.open_key)} == {key}


MATCHES = """
const [pattern, texts] = JSON.parse(require("fs").readFileSync(0));
const readers = ["", "u"].map((flags) => new RegExp(pattern, flags));
console.log(JSON.stringify(texts.map((text) => readers.map((reader) => reader.test(text)))));
"""


@settings(max_examples=5, deadline=None)
@given(
    st.lists(spelled().map(lambda case: case[1]) | st.text("ABCMabdm#♯♭𝄪 :-018\n", max_size=8), min_size=200)
)
def test_ecma_script_reads_the_pattern_as_python_does(texts: list[str]):
    asked = json.dumps([KEY_PATTERN, texts]).encode()
    answer = subprocess.run([find_node(), "-e", MATCHES], input=asked, capture_output=True, check=True)
    assert json.loads(answer.stdout) == [[_is_parsed(text)] * 2 for text in texts]


def _is_parsed(text: str) -> bool:
    try:
        MusicalKey.parse(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "camelot", "open_key"),
    [
        ("C major", "8B", "1d"),
        ("C# major", "3B", "8d"),
        ("A minor", "8A", "1m"),
        ("F# minor", "11A", "4m"),
        ("B major", "1B", "6d"),
        ("G# minor", "1A", "6m"),
    ],
)
def test_codes_on_the_wheel(name: str, camelot: str, open_key: str):
    key = MusicalKey.parse(name)
    assert (key.camelot, key.open_key) == (camelot, open_key)


def test_there_are_24_keys_each_with_codes_of_its_own():
    assert len({key.name for key in all_keys()}) == 24
    assert len({key.camelot for key in all_keys()}) == 24
    assert len({key.open_key for key in all_keys()}) == 24
    assert [key.name for key in all_keys()[:3]] == ["C major", "C minor", "C# major"]


def test_compatible_keys_are_the_neighbours_on_the_wheel_closest_first():
    names = [key.name for key in MusicalKey.parse("A minor").compatible_keys()]
    assert names == ["A minor", "C major", "E minor", "D minor"]
    for key in all_keys():
        number, letter = int(key.camelot[:-1]), key.camelot[-1]
        other = "A" if letter == "B" else "B"
        neighbours = [f"{number}{other}", f"{number % 12 + 1}{letter}", f"{(number - 2) % 12 + 1}{letter}"]
        assert [near.camelot for near in key.compatible_keys()] == [key.camelot, *neighbours]
        assert all(key in near.compatible_keys() for near in key.compatible_keys())


def test_there_are_twelve_pitch_classes():
    assert len(set(PITCH_CLASSES)) == 12
