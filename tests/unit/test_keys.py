import pytest

from shared.keys import PITCH_CLASSES, MusicalKey


@pytest.mark.parametrize(
    ("name", "camelot"),
    [
        ("C major", "8B"),
        ("C# major", "3B"),
        ("A minor", "8A"),
        ("F# minor", "11A"),
        ("B major", "1B"),
        ("G# minor", "1A"),
    ],
)
def test_camelot_codes(name: str, camelot: str):
    assert MusicalKey.from_name(name).camelot == camelot


def test_every_key_has_a_code_of_its_own_and_its_name_leads_back():
    keys = [MusicalKey(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]
    assert len({key.camelot for key in keys}) == 24
    assert [MusicalKey.from_name(key.name) for key in keys] == keys


def test_relative_keys_share_a_number_and_fifths_are_neighbours():
    for tonic in range(12):
        major, relative = MusicalKey(tonic, "major"), MusicalKey((tonic + 9) % 12, "minor")
        assert major.camelot[:-1] == relative.camelot[:-1]
        fifth = MusicalKey((tonic + 7) % 12, "major")
        assert int(fifth.camelot[:-1]) == int(major.camelot[:-1]) % 12 + 1


@pytest.mark.parametrize("name", ["Db major", "C#", "c# major", "H major", "C# dur", "", "C#  major"])
def test_other_names_are_refused(name: str):
    with pytest.raises(ValueError, match="is not a key"):
        MusicalKey.from_name(name)


def test_there_are_twelve_pitch_classes():
    assert len(set(PITCH_CLASSES)) == 12
