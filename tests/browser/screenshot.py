"""Makes the README's picture of the page: `python -m tests.browser.screenshot API SONG OUT.png`."""

import argparse
import base64
from pathlib import Path

from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import chromium

ANALYSED_SECONDS = 300
PLAYED_SECONDS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("api", help="address of a running deployment, as in http://localhost:7071")
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--dark", action="store_true")
    arguments = parser.parse_args()
    with chromium(width=arguments.width) as browser:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if arguments.dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": arguments.width, "height": 600, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(arguments.api)
        browser.find_element(By.ID, "file").send_keys(str(arguments.song.resolve()))
        WebDriverWait(browser, ANALYSED_SECONDS).until(
            presence_of_element_located((By.CSS_SELECTOR, ".stem"))
        )
        player = browser.find_element(By.CSS_SELECTOR, "[data-type=Vocals] audio")
        player.send_keys(Keys.SPACE)
        played = "return arguments[0].currentTime > 5"
        WebDriverWait(browser, PLAYED_SECONDS).until(lambda _: browser.execute_script(played, player))
        browser.execute_script("arguments[0].blur()", player)
        whole_page = {"captureBeyondViewport": True, "format": "png"}
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", whole_page)["data"]
        arguments.out.write_bytes(base64.b64decode(picture))


if __name__ == "__main__":
    main()
