"""The page's search of stems in a real browser, against the whole laptop cloud."""

from collections import Counter
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from stem_library_client import StemLibraryClient
from tests.browser.page import ANALYSED, Page
from tests.conftest import wait_for

TYPES = {"Drums", "Bass", "Vocals", "Other"}


@pytest.fixture(scope="module")
def song_id(client: StemLibraryClient, demo_song: Path) -> str:
    """The demo song in the library: analysed here, where no test before had it done."""
    stems = Counter(stem.audio_file_id for stem in client.find_stems_by_key("Db"))
    found = next((song for song, count in stems.items() if count == len(TYPES)), None)
    song = found or client.upload(demo_song)
    wait_for(
        lambda: len(list(client.find_stems_by_key("Db", audio_file_id=song))) == len(TYPES),
        "the demo song's stems",
        ANALYSED,
    )
    return song


def search(page: Page, key: str, slowest: str = "", fastest: str = "", kind: str = "Any") -> None:
    """Fill the form in, and press Enter in its first field."""
    for name, text in (("minBpm", slowest), ("maxBpm", fastest), ("key", key)):
        field = page.find(f".search [name={name}]")
        field.clear()
        field.send_keys(text)
    Select(page.find(".search [name=type]")).select_by_visible_text(kind)
    page.find(".search [name=key]").send_keys(Keys.ENTER)


def open_search(page: Page, query: str) -> None:
    """Follow a link to a search, as from a bookmark."""
    page.browser.get(f"{page.browser.current_url.partition('#')[0]}#stems?{query}")


def types_of(page: Page, song: str) -> set[str]:
    """Return which stems of a song are listed."""
    return set(page.texts(f"#found li:has(a[href='#{song}']) h3"))


@pytest.mark.parametrize(("key", "in_address"), [("C# major", "C%23+major"), ("Db", "Db"), ("3b", "3b")])
def test_stems_are_found_by_key_in_any_spelling_and_by_tempo(
    page: Page, song_id: str, key: str, in_address: str
) -> None:
    search(page, key, "110", "120")
    page.wait_until(lambda: types_of(page, song_id) == TYPES, "all stems found")
    address = f"#stems?key={in_address}&minBpm=110&maxBpm=120"
    assert page.browser.current_url.endswith(address)
    assert set(page.texts("#found dl div:nth-child(2) dd")) == {"C♯ major · 3B"}
    tempos = [float(text.removesuffix(" bpm")) for text in page.texts("#found dl div:first-child dd")]
    assert all(110 <= tempo <= 120 for tempo in tempos)
    assert page.find("#count").text == f"{len(tempos)} stems"
    with page.on_a_phone():
        assert not page.is_too_wide()

    search(page, key, "110", "120", "Bass")
    page.wait_until(lambda: types_of(page, song_id) == {"Bass"}, "the bass alone")
    page.browser.back()
    page.wait_until(lambda: types_of(page, song_id) == TYPES, "the first search again")
    assert page.value(page.find(".search [name=type]"), "value") == ""
    page.browser.refresh()
    page.wait_until(lambda: types_of(page, song_id) == TYPES, "the search after a reload")
    assert page.value(page.find(".search [name=key]"), "value") == key
    assert page.value(page.find(".search [name=maxBpm]"), "value") == "120"


def test_stems_are_played_one_at_a_time_and_lead_to_their_song_and_back(page: Page, song_id: str) -> None:
    open_search(page, f"audioFileId={song_id}&limit=3")
    page.wait_for("#more").send_keys(Keys.ENTER)
    page.wait_until(lambda: types_of(page, song_id) == TYPES, "the second page")
    assert page.find("#count").text == "4 stems"
    assert not page.find("#more").is_displayed()
    fourth = page.find("#found li:nth-child(4) a")
    page.wait_until(lambda: page.browser.switch_to.active_element == fourth, "the focus on the new page")

    first, second = page.browser.find_elements(By.CSS_SELECTOR, "#found audio")[:2]
    for player in (first, second):
        player.send_keys(Keys.SPACE)
        page.wait_until(lambda player=player: page.value(player, "currentTime") > 0, "it plays")
    assert page.value(first, "paused")
    with page.on_a_phone():
        fourth.click()
        title = page.wait_for("#song-title")
        page.wait_until(lambda: page.is_in_view(title), "the song is in view")
    assert page.value(second, "paused")
    assert page.browser.current_url.endswith(f"#{song_id}")
    assert page.texts(".song .stem h3") == ["Drums", "Bass", "Vocals", "Other"]
    assert not page.find("#results").is_displayed()

    page.browser.back()
    page.wait_for("#results")
    assert types_of(page, song_id) == TYPES
    assert page.texts(".song") == []
    download = page.find("#found .files a").get_attribute("href") or ""
    assert httpx.get(download, follow_redirects=True).content.startswith(b"RIFF")


def test_a_songs_key_leads_to_what_mixes_well_with_it(page: Page, song_id: str) -> None:
    open_search(page, f"audioFileId={song_id}")
    page.wait_for(f"#found a[href='#{song_id}']").click()
    page.wait_for(".song header dd a").click()
    page.wait_until(lambda: types_of(page, song_id) == TYPES, "its own stems are of the same key")
    assert page.browser.current_url.endswith("#stems?key=C%23+major&compatible=true")
    assert page.find(".search [name=compatible]").is_selected()


def test_nothing_found_and_what_the_api_refuses_are_told_in_a_sentence(page: Page) -> None:
    search(page, "Db", "999")
    page.wait_until(lambda: page.find("#count").text == "No stem in the library fits.", "nothing found")
    search(page, "H")
    assert "key: 'H' is not a key: expected a note" in page.wait_for("#search-alert").text
    assert page.find("#count").text == ""
    search(page, "", "130", "120")
    page.wait_until(lambda: "maxBpm: must not be below 130" in page.find("#search-alert").text, "refused")
    search(page, "Db", "999")
    page.wait_until(lambda: page.find("#count").text == "No stem in the library fits.", "nothing found")
    assert not page.find("#search-alert").is_displayed()
