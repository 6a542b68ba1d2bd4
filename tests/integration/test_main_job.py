"""The main job end to end: real SDKs, real processes, real audio, the preview model."""

import io
import itertools
import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import mido
import numpy as np
import pytest
import soundfile as sf
from azure.storage.blob import BlobServiceClient, ContainerClient
from musicxml.parser.parser import parse_musicxml
from mutagen.flac import FLAC, Picture

from shared import ids
from stem_library_client import StemLibraryClient
from tests.conftest import DEMO_TRUTH, Cloud, stems_of, wait_for, wire

STEMS = ["Drums", "Bass", "Vocals", "Other"]
METRICS = (
    "rmsLevel",
    "peakLevel",
    "loudnessLufs",
    "spectralCentroid",
    "spectralBandwidth",
    "spectralRolloff",
    "zeroCrossingRate",
    "dynamicRange",
    "onsetRate",
    "silenceRatio",
)


def settled(client: StemLibraryClient, audio_file_id: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        audio = wire(client.get_audio, audio_file_id)
        is_over = audio and audio["analysisStatus"] in ("Completed", "Failed", "Rejected")
        return audio if is_over else None

    audio: dict[str, Any] = wait_for(ended, "the end of the analysis")
    return audio


@pytest.fixture(scope="module")
def container(cloud: Cloud) -> ContainerClient:
    return BlobServiceClient.from_connection_string(cloud.storage).get_container_client("audio-files")


@pytest.fixture(scope="module")
def demo(client: StemLibraryClient, demo_song: Path) -> dict[str, Any]:
    """The demo song, analysed."""
    audio = settled(client, client.upload(demo_song))
    assert audio["analysisStatus"] == "Completed", audio["error"]
    stems = stems_of(client, audio["id"])
    return {"audio": audio, "stems": stems, "job": wire(client.get_job, audio["jobId"])}


def test_the_song_is_measured_as_its_truth_says(demo: dict[str, Any]):
    truth = json.loads(DEMO_TRUTH.read_text())
    audio = demo["audio"]
    assert audio["bpm"] == pytest.approx(truth["bpm"], rel=0.02)
    assert audio["key"] == truth["key"]
    assert audio["durationSeconds"] == pytest.approx(truth["durationSeconds"], abs=0.05)
    assert len(audio["contentHash"]) == 64


def test_four_stems_carry_bpm_key_beats_and_metrics(demo: dict[str, Any]):
    stems = demo["stems"]
    assert [stem["type"] for stem in stems] == STEMS
    for stem in stems:
        assert (stem["bpm"], stem["key"]) == (demo["audio"]["bpm"], demo["audio"]["key"])
        assert stem["analysisStatus"] == "Completed"
        assert stem["separationModel"].startswith("preview@")
        assert stem["beatTracker"] == demo["audio"]["beatTracker"]
        assert re.fullmatch(r"pulse readings|beat_this-final0@[0-9a-f]{8}", stem["beatTracker"])
        beats = json.loads(stem["beats"])
        assert len(beats) > 20
        assert all(early["time"] < late["time"] for early, late in itertools.pairwise(beats))
        assert [name for name in METRICS if stem[name] is None] == []
        assert not any(name.startswith("_") for name in stem)


def test_the_stems_download_as_wav_of_the_songs_length_and_sum_to_it(
    cloud: Cloud, demo: dict[str, Any], demo_song: Path
):
    mix, rate = sf.read(demo_song)
    total = np.zeros_like(mix)
    for stem in demo["stems"]:
        answer = httpx.get(f"{cloud.api}/api/stems/{stem['id']}/download", follow_redirects=True)
        assert answer.status_code == 200
        assert f"({stem['type']}).wav" in answer.headers["content-disposition"]
        samples, stem_rate = sf.read(io.BytesIO(answer.content))
        assert (stem_rate, samples.shape) == (rate, mix.shape)
        assert len(answer.content) == stem["fileSizeBytes"]
        total += samples
    error = 20 * np.log10(np.abs(total - mix).max())
    assert error < -50


def test_the_notes_of_each_stem_are_had_as_midi_and_musicxml(
    cloud: Cloud, demo: dict[str, Any], tmp_path: Path
):
    """Read by other libraries than wrote them; `musicxml` checks against the standard's schema."""

    def fetch(stem: dict[str, Any], form: str, suffix: str) -> Path:
        answer = httpx.get(
            f"{cloud.api}/api/stems/{stem['id']}/notation", params={"format": form}, follow_redirects=True
        )
        assert answer.status_code == 200
        assert f"({stem['type']}).{suffix}" in answer.headers["content-disposition"]
        path = tmp_path / f"{stem['type']}.{suffix}"
        path.write_bytes(answer.content)
        return path

    for stem in demo["stems"]:
        notation = json.loads(stem["notationData"])
        now, onsets = 0.0, []
        for message in mido.MidiFile(fetch(stem, "midi", "mid")):
            now += message.time
            if message.type == "note_on" and message.velocity:
                onsets.append(now)
        assert onsets == pytest.approx([note["onset"] for note in notation["notes"]], abs=0.005)
        musicxml = fetch(stem, "musicxml", "musicxml")
        parse_musicxml(musicxml)
        score = ElementTree.parse(musicxml).getroot()
        beats, unit = stem["timeSignature"].split("/")
        assert (score.findtext(".//time/beats"), score.findtext(".//time/beat-type")) == (beats, unit)
        assert len(score.findall(".//note[rest]")) < len(score.findall(".//note"))
        assert f"/stems/{demo['job']['id']}/1/" in notation["musicXmlUri"]


def test_one_stem_is_read_by_its_id(cloud: Cloud, demo: dict[str, Any]):
    for stem in demo["stems"]:
        assert httpx.get(f"{cloud.api}/api/stems/{stem['id']}").json() == stem
    missing = httpx.get(f"{cloud.api}/api/stems/{uuid.uuid4()}")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


def test_the_job_says_which_model_ran_and_how_long_each_step_took(demo: dict[str, Any]):
    job = demo["job"]
    assert (job["status"], job["progress"], job["attempt"]) == ("Completed", 100, 1)
    assert job["metadata"]["model"] == demo["stems"][0]["separationModel"]
    assert "PREVIEW" in job["metadata"]["modelNote"]
    assert set(job["metadata"]["seconds"]) == {
        "download",
        "decode",
        "separate",
        "analyse",
        "notate",
        "save",
        "total",
    }


def test_a_file_dropped_into_the_container_is_analysed_too(
    client: StemLibraryClient, container: ContainerClient, demo_song: Path
):
    samples, rate = sf.read(demo_song)
    mp3 = io.BytesIO()
    sf.write(mp3, samples[: 8 * rate], rate, format="MP3")
    name = f"dropped {uuid.uuid4().hex[:8]} ♯.mp3"
    container.upload_blob(name, mp3.getvalue())
    upload = ids.parse_upload_name(name)
    assert upload is not None
    audio = settled(client, upload.audio_file_id)
    assert (audio["analysisStatus"], audio["name"]) == ("Completed", name)
    assert audio["durationSeconds"] == pytest.approx(8, abs=0.1)
    assert [stem["type"] for stem in stems_of(client, audio["id"])] == STEMS


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that can't be taken, each with a part of the sentence that says why."""
    rng = np.random.default_rng(1)
    text, empty, cut, long = (folder / name for name in ("t.mp3", "e.wav", "c.flac", "l.flac"))
    text.write_text("This is not music.")
    empty.touch()
    sf.write(cut, 0.1 * rng.standard_normal((10 * 44_100, 2)), 44_100)
    cut.write_bytes(cut.read_bytes()[:200_000])
    sf.write(long, np.zeros(8_000 * 301), 8_000)
    return {
        "not audio": (text, "not an audio file"),
        "empty": (empty, "empty"),
        "cut off": (cut, "cut off"),
        "too long": (long, "longer than 5 minutes"),
    }


def test_bad_files_fail_with_a_sentence_and_the_worker_goes_on(
    client: StemLibraryClient, container: ContainerClient, tmp_path: Path, demo_song: Path
):
    expected: dict[str, str] = {}
    for path, sentence in bad_files(tmp_path).values():
        song_id = str(uuid.uuid4())
        container.upload_blob(f"{song_id}/{path.name}", path.read_bytes())
        expected[song_id] = sentence
    good = client.upload(demo_song)
    for song_id, sentence in expected.items():
        audio = settled(client, song_id)
        assert audio["analysisStatus"] == "Rejected"
        assert sentence in audio["error"]
        job = wire(client.get_job, audio["jobId"])
        assert job is not None
        assert (job["status"], job["errorMessage"]) == ("Failed", audio["error"])
        assert job["attempt"] == 1, "a file at fault is not tried again"
    assert settled(client, good)["analysisStatus"] == "Completed"


def test_a_file_that_is_too_large_is_refused_as_it_arrives(
    client: StemLibraryClient, container: ContainerClient
):
    song_id = str(uuid.uuid4())
    container.upload_blob(f"{song_id}/large.wav", b"RIFF" + bytes(21 * 1024**2))
    audio = settled(client, song_id)
    assert (audio["analysisStatus"], audio["error"]) == ("Rejected", "The file is larger than 20 MB.")
    assert audio["jobId"] is None


def test_tags_and_artwork_come_into_the_library(
    cloud: Cloud, client: StemLibraryClient, demo_song: Path, tmp_path: Path
):
    samples, rate = sf.read(demo_song)
    song, picture = tmp_path / "track 01.flac", b"\x89PNG\r\n\x1a\n" + bytes(100)
    sf.write(song, samples[: 4 * rate], rate)
    tags = FLAC(song)
    tags.update(title="Grüße", artist="Sängerin", album="Nº 5")
    cover = Picture()
    cover.type, cover.data = 3, picture
    tags.add_picture(cover)
    tags.save()
    audio = settled(client, client.upload(song))
    assert (audio["title"], audio["artist"], audio["album"]) == ("Grüße", "Sängerin", "Nº 5")
    job = httpx.get(f"{cloud.api}/api/jobs/{audio['jobId']}")
    assert job.status_code == 200, "whoever sees the job ended sees what it leaves"
    artwork = httpx.get(f"{cloud.api}/api/audio/{audio['id']}/artwork", follow_redirects=True)
    assert (artwork.content, artwork.headers["content-type"]) == (picture, "image/png")
    stem = httpx.get(f"{cloud.api}/api/audio/{audio['id']}/stems").json()["value"][0]
    saved = httpx.get(f"{cloud.api}/api/stems/{stem['id']}/download", follow_redirects=True)
    assert "S%C3%A4ngerin%20-%20Gr%C3%BC%C3%9Fe%20%28Drums%29.wav" in saved.headers["content-disposition"]


def test_stems_started_no_jobs_and_a_completed_job_is_gone_after_thirty_seconds(
    cloud: Cloud, client: StemLibraryClient, container: ContainerClient, demo: dict[str, Any]
):
    audio, job = demo["audio"], demo["job"]

    def gone() -> httpx.Response | None:
        answer = httpx.get(f"{cloud.api}/api/jobs/{job['id']}")
        return answer if answer.status_code == 404 else None

    outcome = wait_for(gone, "the deletion of the job").json()
    assert (outcome["outcome"], outcome["audioFileId"]) == ("Completed", audio["id"])
    kept = _seconds_between(outcome["completedAt"], outcome["deletedAt"])
    assert 30 <= kept < 35
    assert stems_of(client, audio["id"]), "the stems stay"

    names = [*container.list_blob_names()]
    assert len([name for name in names if name.startswith(f"{audio['id']}/stems/")]) >= 4
    uploads = [upload.audio_file_id for upload in map(ids.parse_upload_name, names) if upload]
    assert uploads.count(audio["id"]) == 1
    live = httpx.get(f"{cloud.api}/api/jobs", params={"limit": 200}).json()["value"]
    assert {entry["audioFileId"] for entry in live} <= {*uploads} - {audio["id"]}


def _seconds_between(early: str, late: str) -> float:
    return (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds()
