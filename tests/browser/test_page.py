"""The web page in a real browser, against the whole laptop cloud."""

from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile as sf
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from stem_library_client import StemLibraryClient
from tests.browser.page import ANALYSED, SOON, Page
from tests.conftest import Cloud

WORKER_STEPS = ("Downloading", "Decoding", "Separating", "Analysing", "Saving")

SHOW = """
const [audio, stems, done] = arguments;
import("/web/song.js")
  .then(({ songView }) => document.getElementById("song").replaceChildren(songView(audio, stems)))
  .then(() => done());
"""


def test_a_song_is_uploaded_analysed_played_and_remembered(page: Page, demo_song: Path) -> None:
    page.choose(demo_song)
    page.wait_for(".stem", ANALYSED)
    assert not page.find("#alert").text
    assert page.texts(".stem h3") == ["Drums", "Bass", "Vocals", "Other"]
    tempo, key, meter, tuning, length = page.texts(".song header dd")
    assert float(tempo.removesuffix(" bpm")) == pytest.approx(116.05, rel=0.02)
    assert key == "C♯ major · 3B"
    assert (meter, length) == ("4/4", "0:20")
    assert float(tuning.removeprefix("A4 ").removesuffix(" Hz")) == pytest.approx(440, abs=3)
    assert all(text.endswith(" dBFS") for text in page.texts(".stem dl div:first-child dd"))
    assert all(text.endswith(" LUFS") for text in page.texts(".stem dl div:nth-child(2) dd"))
    assert "rendered music only" in page.find(".notice").text

    assert page.texts(".timeline h3") == ["Sections", "Chords"]
    assert set("".join(page.texts(".lane[aria-label=Sections] li"))) <= set("ABCDEFG'")
    chords = page.texts(".lane[aria-label=Chords] li")
    assert len(chords) > 3
    assert all(name == "" or name[0] in "ABCDEFG" for name in chords)
    files = {"WAV": b"RIFF", "MIDI": b"MThd", "MusicXML": b"<?xml", "JSON": b"{"}
    links = page.browser.find_elements(By.CSS_SELECTOR, ".stem .files a")
    for link, (name, begin) in zip(links, [*files.items()] * 4, strict=True):
        assert link.text.startswith(name)
        content = httpx.get(link.get_attribute("href") or "", follow_redirects=True).content
        assert content.startswith(begin)

    player = page.find("audio")
    assert player.get_attribute("aria-label") == f"Drums of {demo_song.stem}"
    player.send_keys(Keys.SPACE)
    WebDriverWait(page.browser, SOON).until(lambda _: page.value(player, "currentTime") > 0, "nothing plays")
    assert page.value(player, "duration") == pytest.approx(20, abs=0.1)
    player.send_keys(Keys.SPACE)
    assert page.value(player, "paused")
    assert page.find(".playhead").is_displayed()

    with page.on_a_phone():
        assert not page.is_too_wide()

    page.browser.get(page.browser.current_url.partition("#")[0])
    assert page.texts(".stem") == []
    page.wait_for("#remembered a").click()
    assert page.find("#remembered a span").text == demo_song.name
    page.wait_for(".stem")
    page.browser.refresh()
    page.wait_for(".stem")


def test_the_workers_steps_are_shown_as_they_go(
    page: Page, client: StemLibraryClient, tmp_path: Path
) -> None:
    """By a song so long that a page which looks each second can't miss them."""
    song = tmp_path / "long.flac"
    sf.write(song, 0.1 * np.random.default_rng(1).standard_normal(200 * 22_050), 22_050)
    page.choose(song)

    def at_work(browser: Chrome) -> bool:
        value = page.value(page.find("progress"), "value")
        return page.find("#progress-step").text in WORKER_STEPS and 0 < value < 100

    WebDriverWait(page.browser, ANALYSED, poll_frequency=0.1).until(at_work, "no step of the worker")
    audio = client.get_audio(page.browser.current_url.partition("#")[2])
    client.cancel_job(str(audio.job_id))  # no other test is to wait for it
    assert page.wait_for("#alert").text == "long.flac: The analysis was cancelled."


def test_what_could_not_be_measured_is_a_dash_with_its_reason(page: Page) -> None:
    musical = ("bpm", "key", "timeSignature", "tuning", "sections", "chordProgression")
    audio = dict.fromkeys((*musical, "title", "artist")) | {"name": "noise.wav", "durationSeconds": 20}
    stem = {
        **dict.fromkeys(("beats", "camelot", "rmsLevel", "loudnessLufs", "separationModel", *musical)),
        "id": "none",
        "type": "Bass",
        "fileSizeBytes": 1,
        "notationData": '{"notes": [], "midiUri": "x", "musicXmlUri": null}',
        "unmeasured": {name: f"no {name}" for name in (*musical, "musicXmlUri")},
    }
    page.browser.execute_async_script(SHOW, audio, [stem])
    assert page.texts(".song header dd") == ["–"] * 4 + ["0:20"]
    reasons = [found.get_attribute("title") for found in page.browser.find_elements(By.CSS_SELECTOR, "abbr")]
    assert set(reasons) >= {f"no {name}" for name in musical}
    assert "MusicXML: no musicXmlUri" in reasons
    assert page.texts(".files a")[1:] == ["MIDI", "JSON"]


def test_a_file_that_is_no_audio_is_told_in_a_sentence_as_text(page: Page) -> None:
    name = "<img src=x onerror=document.title='run'>.mp3"
    page.drop((name, "these are words, no music"))
    alert = page.wait_for("#alert", ANALYSED).text
    assert alert.startswith(f"{name}: ")
    assert "audio" in alert.removeprefix(name).lower()
    assert page.browser.title == "Stem Library"
    assert not page.find("#remembered").is_displayed()


def test_a_refused_upload_shows_the_problem_of_the_api(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(21 * 1024**2)
    page.choose(large)
    assert page.wait_for("#alert").text == "large.wav: The file is larger than 20 MB."
    assert page.find("#file").is_enabled()


def test_one_song_at_a_time(page: Page) -> None:
    page.drop(("a.mp3", "a"), ("b.mp3", "b"))
    assert page.wait_for("#alert").text == "One song at a time, please."


def test_a_song_that_is_gone_is_dropped_from_the_list(page: Page) -> None:
    page.browser.execute_script(
        "localStorage.setItem('stem-library.songs', JSON.stringify("
        "[{id: '00000000-0000-4000-8000-000000000000', name: 'Old song.mp3', uploadedAt: 0}]))"
    )
    page.browser.refresh()
    page.wait_for("#remembered a").click()
    assert page.wait_for("#alert").text == "Old song.mp3 is no longer in the library."
    assert not page.find("#remembered").is_displayed()


def test_the_file_button_is_reached_by_keyboard(page: Page) -> None:
    page.find("body").send_keys(Keys.TAB, Keys.TAB)
    focused = page.browser.switch_to.active_element
    assert focused.get_attribute("id") == "file"
    assert focused.accessible_name == "Choose a song"


def test_the_page_is_served_with_a_strict_policy(cloud: Cloud) -> None:
    answer = httpx.get(f"{cloud.api}/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/", "text/html"), ("/web/main.js", "text/javascript"), ("/web/style.css", "text/css")],
)
def test_files_are_revalidated_by_their_content(cloud: Cloud, path: str, media_type: str) -> None:
    first = httpx.get(f"{cloud.api}{path}")
    assert first.headers["content-type"].startswith(media_type)
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["cache-control"] == "no-cache"
    for tag in (first.headers["etag"], "W/" + first.headers["etag"]):
        again = httpx.get(f"{cloud.api}{path}", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(f"{cloud.api}{path}", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["none.js", "..%2Fhost.json", "%2e%2e%2fhost.json", "."])
def test_nothing_but_the_pages_files_is_served(cloud: Cloud, name: str) -> None:
    assert httpx.get(f"{cloud.api}/web/{name}").status_code == 404
