"""The client against the API document, and file names against file systems."""

import subprocess
import sys
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st
from pathvalidate import is_valid_filename
from pydantic.alias_generators import to_camel, to_snake

from functions.api_document import document
from shared.file_names import content_disposition, stem_file_name
from stem_library_client import StemLibraryClient, models
from stem_library_client.client import Filters
from stem_library_client.command import tempo_range
from stem_library_client.downloads import MAX_BYTES, safe_name, save
from stem_library_client.following import follow
from stem_library_client.transport import Download, file_name_in
from tests.client_models import MODELS
from tests.client_models import models as made_models


def operations() -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for methods in document()["paths"].values()
        for operation in methods.values()
    }


def test_the_models_are_those_of_the_api_document():
    assert MODELS.read_text(encoding="utf-8") == made_models(), "run python -m tests.client_models"


def test_the_models_keep_the_wire_names():
    for name, schema in document()["components"]["schemas"].items():
        model = getattr(models, name)
        if "properties" in schema:
            assert model.model_json_schema()["properties"].keys() == schema["properties"].keys(), name


def test_each_route_has_its_method():
    pages = {"getApiDocument", "getApiPage"}
    for name in operations().keys() - pages:
        assert callable(getattr(StemLibraryClient, to_snake(name))), name


def test_a_search_takes_each_filter_of_the_document():
    parameters = {one["name"] for one in operations()["findStems"]["parameters"]}
    assert {to_camel(name) for name in typing.get_type_hints(Filters)} == parameters - {"pageToken"}


def test_the_command_starts_without_what_only_a_sign_in_needs():
    code = "import sys, stem_library_client.command; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "stem_library_client.sign_in" in done.stdout
    assert "azure" not in done.stdout


@given(st.text() | st.text(alphabet="./\\ CONau\x00\u3000:.wav~") | st.text(min_size=200))
@example("..")
@example("../../etc/passwd")
@example("\u3000.")
@example("x" * 300 + ".wav")
def test_any_name_becomes_that_of_a_plain_file(name: str):
    safe = safe_name(name)
    assert is_valid_filename(safe, platform="universal", max_len=MAX_BYTES)
    assert Path(safe).name == safe
    assert not safe.startswith(".")
    assert safe_name(safe) == safe


@pytest.mark.parametrize("name", ["Größe “2” (Drums).wav", "東京 – ♯.wav", "plain.wav"])
def test_a_good_name_is_kept(name: str):
    assert safe_name(name) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_name_of_the_api_is_read_and_kept(title: str):
    name = stem_file_name(title=title, artist=None, stem_type="Drums")
    assert file_name_in(content_disposition(name)) == name
    assert safe_name(name).endswith(" (Drums).wav")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", None),
        ("attachment", None),
        ('attachment; filename="a.wav"', "a.wav"),
        (f"attachment; filename*=UTF-8''{quote('ü.wav')}; filename=\"a.wav\"", "ü.wav"),
    ],
)
def test_the_name_is_found_wherever_it_stands(header: str, name: str | None):
    assert file_name_in(header) == name


def of(*chunks: bytes, name: str | None = "a.wav") -> Download:
    return Download(name, None, iter(chunks))


def test_a_download_is_saved_under_its_name_or_another(tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    assert save(of(b"so", b"und"), folder, otherwise="b.wav").read_bytes() == b"sound"
    assert save(of(b"2", name=None), folder, otherwise="b.wav") == folder / "b.wav"
    assert save(of(b"3", name="../../c.wav"), folder, otherwise="b.wav").parent == folder
    assert sorted(path.name for path in folder.iterdir()) == ["_.._.._c.wav", "a.wav", "b.wav"]


def test_a_file_is_replaced_only_by_request(tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"a\.wav is there already"):
        save(of(b"sound"), tmp_path, otherwise="b.wav")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]
    save(of(b"sound"), tmp_path, otherwise="b.wav", overwrite=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"sound"]


def test_a_link_that_leads_outside_is_no_way_out(tmp_path: Path):
    outside, folder = tmp_path / "outside.wav", tmp_path / "folder"
    folder.mkdir()
    (folder / "a.wav").symlink_to(outside)
    with pytest.raises(FileExistsError):
        save(of(b"sound"), folder, otherwise="b.wav")
    save(of(b"sound"), folder, otherwise="b.wav", overwrite=True)
    assert not outside.exists()
    assert not (folder / "a.wav").is_symlink()


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path):
    def appear(received: int) -> None:
        (tmp_path / "a.wav").write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        save(of(b"sound"), tmp_path, otherwise="b.wav", on_received=appear)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path):
    def breaking() -> typing.Iterator[bytes]:
        yield b"so"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        save(Download("a.wav", 5, breaking()), tmp_path, otherwise="b.wav")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("120-130", (120, 130)),
        ("120.5 – 130", (120.5, 130)),
        ("120-", (120, None)),
        ("-130", (None, 130)),
        ("124", (123.5, 124.5)),
        ("124.2", (pytest.approx(124.15), pytest.approx(124.25))),
    ],
)
def test_a_tempo_or_a_range(text: str, bounds: tuple[float | None, float | None]):
    assert tempo_range(text) == bounds


@pytest.mark.parametrize("text", ["", "fast", "120-130-140", "1e3", "nan", "120..130"])
def test_what_is_no_tempo_is_refused(text: str):
    with pytest.raises(typer.BadParameter, match="neither a tempo nor a range"):
        tempo_range(text)


def test_a_song_that_was_refused_without_a_job_is_an_outcome(tmp_path: Path):
    song = tmp_path / "song.wav"
    song.write_bytes(b"sound")
    audio = models.AudioFile.model_construct(
        id="a", job_id=None, analysis_status=models.AnalysisStatus.REJECTED, error="The file is too large."
    )
    client: Any = SimpleNamespace(upload=lambda *_: "a", get_audio=lambda _: audio)
    (outcome,) = follow(client, [song], lambda *_: None)
    assert outcome.error == "The file is too large."
