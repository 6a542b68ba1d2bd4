"""The page of the API document in a real browser."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import BROWSER, DRIVER, MISSING, chromium
from tests.conftest import Cloud

SECONDS = 120


@pytest.mark.skipif(not (BROWSER and DRIVER), reason=MISSING)
def test_the_viewer_shows_every_route_under_its_tight_policy(cloud: Cloud):
    with chromium() as browser:
        browser.get(f"{cloud.api}/api/docs")
        wait = WebDriverWait(browser, SECONDS)
        wait.until(presence_of_element_located((By.CSS_SELECTOR, ".opblock")))
        assert len(browser.find_elements(By.CSS_SELECTOR, ".opblock")) >= 30
        browser.find_element(By.CSS_SELECTOR, "#operations-service-getHealth button").click()
        execute = (By.CSS_SELECTOR, "#operations-service-getHealth .execute")
        wait.until(presence_of_element_located(execute)).click()
        answer = (By.CSS_SELECTOR, "#operations-service-getHealth .live-responses-table .response")
        assert "200" in wait.until(presence_of_element_located(answer)).text
        assert [entry["message"] for entry in browser.get_log("browser")] == []
