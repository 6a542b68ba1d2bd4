import uuid

import pytest

from shared import ids

GUID = "0b7e6a1c-6f3d-4d0a-9c1e-2a5b8f7d1e90"


def test_an_upload_in_its_own_folder_has_the_folder_as_id():
    upload = ids.parse_upload_name(f"{GUID}/My song (final).flac")
    assert upload is not None
    assert (upload.audio_file_id, upload.file_name) == (GUID, "My song (final).flac")


def test_an_upload_at_the_root_has_an_id_that_its_name_gives():
    first, again = ids.parse_upload_name("song#1.mp3"), ids.parse_upload_name("song#1.mp3")
    assert first == again
    assert first is not None
    assert uuid.UUID(first.audio_file_id).version == 5
    other = ids.parse_upload_name("song#2.mp3")
    assert other is not None
    assert other.audio_file_id != first.audio_file_id


def test_the_folder_of_an_upload_is_compared_without_case():
    upload = ids.parse_upload_name(f"{GUID.upper()}/a.wav")
    assert upload is not None
    assert upload.audio_file_id == GUID


@pytest.mark.parametrize(
    "name",
    [
        f"{GUID}/stems/drums.wav",
        f"{GUID}/analysis/0a1b.json.gz",
        f"{GUID}/stems",
        f"{GUID}/a/b.wav",
        f"{GUID}/",
        "album/song.mp3",
        "stems/drums.wav",
        "",
        "/",
    ],
)
def test_other_blobs_are_no_uploads(name: str):
    assert ids.parse_upload_name(name) is None


def test_a_job_is_named_by_file_version_and_analysis():
    key = ids.idempotency_key(GUID, '"0x1"', 1)
    assert ids.job_id(key) == ids.job_id(ids.idempotency_key(GUID, '"0x1"', 1))
    others = [(GUID, '"0x2"', 1), (GUID, '"0x1"', 2), (str(uuid.uuid4()), '"0x1"', 1)]
    assert len({key, *(ids.idempotency_key(*other) for other in others)}) == 4


def test_a_stem_is_named_by_song_type_and_analysis():
    names = {ids.stem_id(GUID, kind, version) for kind in ("Drums", "Bass") for version in (1, 2)}
    assert len(names) == 4
    assert ids.stem_id(GUID, "Drums", 1) in names
