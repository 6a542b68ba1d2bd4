"""Fixtures of the browser's tests: one browser a module, and the page in it."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.browser.chromium import BROWSER, DRIVER, MISSING, chromium
from tests.browser.page import Page
from tests.conftest import Cloud


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    if not (BROWSER and DRIVER):
        pytest.skip(MISSING)
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Chrome, cloud: Cloud) -> Iterator[Page]:
    """The page as a browser that never saw it shows it; in the end, it has broken no policy."""
    browser.get(f"{cloud.api}/web/icon.svg")
    browser.execute_script("localStorage.clear()")
    browser.get(cloud.api)
    opened = Page(browser)
    yield opened
    assert opened.policy_violations() == []
