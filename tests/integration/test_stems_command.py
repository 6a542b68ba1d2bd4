"""The command `stems` as a user runs it, against the running product."""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile as sf

from local.process import free_port
from stem_library_client import StemLibraryClient
from stem_library_client.models import StemType
from tests.conftest import Cloud

STEMS = Path(sys.executable).parent / "stems"
TITLE = "Größe ♯ “2” [東京]"


@dataclass(frozen=True)
class Stems:
    """The command with the address of a deployment, and no other setting of this machine."""

    api: str
    folder: Path

    def __call__(self, *arguments: object, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STEMS_")}
        done = subprocess.run(
            [STEMS, *map(str, arguments)],
            cwd=self.folder,
            env={**kept, "STEMS_API": self.api, **env},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: object, **env: str) -> Any:
        return json.loads(self(*arguments, "--json", **env).stdout)


@pytest.fixture
def stems(cloud: Cloud, tmp_path: Path) -> Stems:
    return Stems(cloud.api, tmp_path)


@pytest.fixture(scope="module")
def analysed(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory, demo_song: Path) -> dict[str, Any]:
    """Some seconds of the demo song under a name of many alphabets, analysed by the command itself."""
    folder = tmp_path_factory.mktemp("songs")
    sound, rate = sf.read(demo_song, frames=6 * 44_100)
    song = folder / f"{TITLE}.flac"
    sf.write(song, sound, rate)
    done = Stems(cloud.api, folder)("analyse", song.name, "--json")
    found = json.loads(done.stdout)
    return {"id": found[0]["audioFileId"], "stems": found, "progress": done.stderr}


def test_analyse_shows_progress_and_gives_the_stems(analysed: dict[str, Any], cloud: Cloud):
    answer = httpx.get(f"{cloud.api}/api/audio/{analysed['id']}/stems").json()["value"]
    assert analysed["stems"] == answer
    assert "Uploading" in analysed["progress"]
    steps = ("Downloading", "Decoding", "Separating", "Analysing", "Saving", "Waiting", "Done")
    assert any(step in analysed["progress"] for step in steps), "a fast worker is seen at few of them"


def test_analyse_goes_on_after_a_song_that_fails(stems: Stems, demo_song: Path, tmp_path: Path):
    bad = tmp_path / "bad.mp3"
    bad.write_text("not music")
    good = tmp_path / "[bold]good.flac"
    sound, rate = sf.read(demo_song, frames=3 * 44_100)
    sf.write(good, sound, rate)
    done = stems("analyse", bad, good, status=1)
    assert "bad.mp3: This is not an audio file" in done.stderr
    for word in ("[bold]good.flac", *StemType, "BPM", "Preview model"):
        assert word in done.stdout
    assert "bad.mp3" not in done.stdout


def test_a_missing_song_is_refused_before_anything_is_uploaded(stems: Stems, demo_song: Path):
    before = {job["id"] for job in stems.json("jobs")}
    assert "none.mp3" in stems("analyse", demo_song, "none.mp3", status=2).stderr
    assert {job["id"] for job in stems.json("jobs")} <= before, "others may have been deleted meanwhile"


def test_search_by_key_and_tempo(stems: Stems, analysed: dict[str, Any], client: StemLibraryClient):
    drums = next(stem for stem in analysed["stems"] if stem["type"] == "Drums")
    key, camelot, bpm = drums["key"], drums["camelot"], drums["bpm"]
    assert None not in (key, bpm), drums["unmeasured"]
    for spelling in (key, camelot):
        found = stems.json("search", "--key", spelling, "--type", "drums", "--limit", 1000)
        assert drums["id"] in {stem["id"] for stem in found}
        assert {stem["type"] for stem in found} == {"Drums"}
    for tempo in (f"{bpm:.0f}", f"{bpm:.1f}", f"{bpm - 1}-{bpm + 1}", f"{bpm - 1}-"):
        found = stems.json("search", "--bpm", tempo, "--limit", 1000)
        assert drums["id"] in {stem["id"] for stem in found}
        assert [stem["bpm"] for stem in found] == sorted(stem["bpm"] for stem in found)
    double = stems.json("search", "--bpm", f"{2 * bpm:.2f}", "--half-double", "--limit", 1000)
    assert drums["id"] in {stem["id"] for stem in double}
    assert stems.json("search", "--bpm", "999") == []
    table = stems("search", "--key", key, "--limit", 1000).stdout
    assert drums["id"] in table
    assert TITLE in table


def test_a_search_goes_over_pages_to_its_limit(
    stems: Stems, analysed: dict[str, Any], client: StemLibraryClient
):
    whole = [stem.id for stem in client.find_stems(limit=200)]
    assert len(whole) >= 4
    assert [stem.id for stem in client.find_stems(limit=1)] == whole
    done = stems("search", "--limit", 2, "--json")
    assert [stem["id"] for stem in json.loads(done.stdout)] == whole[:2]
    assert "There are more than 2" in done.stderr


def test_what_cannot_be_searched_for_is_said(stems: Stems):
    done = stems("search", "--key", "H minor", status=1)
    assert "key:" in done.stderr
    assert "C# major" in done.stderr
    assert done.stdout == ""
    assert "neither a tempo nor a range" in stems("search", "--bpm", "fast", status=2).stderr
    assert "maxBpm:" in stems("search", "--bpm", "130-120", status=1).stderr


def test_get_shows_a_stem_or_an_audio_file(stems: Stems, analysed: dict[str, Any], cloud: Cloud):
    stem = analysed["stems"][0]
    assert stems.json("get", stem["id"]) == stem
    text = stems("get", stem["id"]).stdout
    assert f"{len(json.loads(stem['beats']))} entries" in text
    assert stem["blobUri"] in text
    assert stems.json("get", analysed["id"]) == httpx.get(f"{cloud.api}/api/audio/{analysed['id']}").json()
    assert f"{TITLE}.flac" in stems("get", analysed["id"]).stdout
    assert "There is no audio file" in stems("get", uuid.uuid4(), status=1).stderr


def test_jobs_are_listed_by_status(stems: Stems, analysed: dict[str, Any], tmp_path: Path):
    bad = tmp_path / "worse.mp3"
    bad.write_text("not music")
    stems("analyse", bad, status=1)
    failed = stems.json("jobs", "--status", "failed")
    assert {job["status"] for job in failed} == {"Failed"}
    table = stems("jobs", "--status", "Failed").stdout
    assert failed[0]["id"] in table
    assert "not an audio file" in table
    assert "--status" in stems("jobs", "--status", "Lost", status=2).stderr


def test_jobs_are_picked_by_their_error_and_begun_again(stems: Stems, cloud: Cloud, tmp_path: Path):
    bad = tmp_path / "worst.mp3"
    bad.write_text("not music")
    stems("analyse", bad, status=1)
    assert stems("jobs", "--error", "no such error", "--ids").stdout == ""
    (job, *_) = stems("jobs", "--status", "Failed", "--error", "not an audio file", "--ids").stdout.split()
    assert "can't be" in stems("cancel", job, status=1).stderr
    assert stems("retry", job).stdout == f"{job} Retrying\n"
    none = str(uuid.uuid4())
    done = stems("cancel", none, job, status=1)
    assert none in done.stderr
    has_failed_again = "can't be" in done.stderr  # by a fast worker
    assert done.stdout == ("" if has_failed_again else f"{job} Cancelled\n")


def test_songs_are_analysed_again(stems: Stems, analysed: dict[str, Any]):
    assert "The library holds the result" in stems("reanalyse", analysed["id"], status=1).stderr
    assert stems("reanalyse", "--outdated").stdout == "0 started; none is left.\n"
    assert "or --outdated" in stems("reanalyse", status=2).stderr
    assert "or --outdated" in stems("reanalyse", analysed["id"], "--outdated", status=2).stderr


def test_a_song_is_downloaded_under_its_name_once(stems: Stems, analysed: dict[str, Any], tmp_path: Path):
    out = tmp_path / "out"
    done = stems("download", analysed["id"], "--out", out)
    printed = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in printed] == [f"{TITLE} ({kind}).wav" for kind in StemType]
    assert sorted(out.iterdir()) == sorted(printed)
    for path, stem in zip(printed, analysed["stems"], strict=True):
        assert path.stat().st_size == stem["fileSizeBytes"]
        assert sf.info(path).channels == stem["channels"]
    drums = analysed["stems"][0]["id"]
    printed[0].write_text("mine")
    assert "is there already" in stems("download", drums, "--out", out, status=1).stderr
    assert printed[0].read_text() == "mine"
    stems("download", drums, "--out", out, "--force")
    assert printed[0].stat().st_size == analysed["stems"][0]["fileSizeBytes"]
    assert "There is no audio file" in stems("download", uuid.uuid4(), status=1).stderr


def test_stats_and_repair(stems: Stems, analysed: dict[str, Any]):
    found = stems.json("stats")
    assert found["stems"] >= 4
    assert "songs" in stems("stats").stdout
    steps = stems.json("repair")
    assert sum(step["checked"] for step in steps) > 0
    assert "checked" in stems("repair").stdout
    assert stems.json("sweep").keys() == {
        "rescued", "settled", "announced", "uploadsFound", "deletionsFinished", "indexed"
    }  # fmt: skip


def test_an_api_that_is_not_there_is_one_sentence(stems: Stems):
    done = stems("stats", "--api", f"http://127.0.0.1:{free_port()}", status=1)
    assert "can't be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "must begin with http" in stems("stats", "--api", "localhost", status=2).stderr


def test_sign_in_only_where_it_is_asked_for(guarded: Cloud, tmp_path: Path):
    stems = Stems(guarded.api, tmp_path)
    assert "--scope or STEMS_SCOPE" in stems("stats", status=1).stderr
    nobody = stems(
        "stats", status=1, STEMS_SCOPE="api://x/.default", AZURE_TOKEN_CREDENTIALS="AzureCliCredential"
    )
    assert nobody.stderr.startswith("There is no token for api://x/.default: ")
    assert len(nobody.stderr.splitlines()) == 1
    assert stems.json("stats", STEMS_TOKEN="reader")["songs"] >= 0
    assert stems.json("search", "--token", "reader", "--limit", 1) is not None
    assert "role" in stems("repair", "--token", "reader", status=1).stderr
    assert stems("stats", "--token", "nobody", status=1).stdout == ""
