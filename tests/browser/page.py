"""The web page as its user sees it, in a real browser."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

SOON = 120
ANALYSED = 600

DROP = """
const files = new DataTransfer();
for (const [name, text] of arguments[0]) files.items.add(new File([text], name));
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
"""


class Page:
    """What a user sees of the page and does on it."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.browser.find_elements(By.CSS_SELECTOR, selector)]

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        WebDriverWait(self.browser, SOON).until(lambda _: condition(), f"not so: {what}")

    def value(self, element: WebElement, name: str) -> Any:
        return self.browser.execute_script("return arguments[0][arguments[1]]", element, name)

    def choose(self, file: Path) -> None:
        self.find("#file").send_keys(str(file))

    def drop(self, *files: tuple[str, str]) -> None:
        self.browser.execute_script(DROP, files)

    def wait_for(self, selector: str, seconds: float = SOON) -> WebElement:
        """Wait until an element is there and visible."""

        def visible(browser: Chrome) -> WebElement | Literal[False]:
            found = browser.find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in found if element.is_displayed()), False)

        return WebDriverWait(self.browser, seconds).until(visible, f"no {selector}")

    @contextmanager
    def on_a_phone(self) -> Iterator[None]:
        """Show the page 360 px wide."""
        size = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield
        self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def is_too_wide(self) -> bool:
        root = "document.documentElement"
        return bool(self.browser.execute_script(f"return {root}.scrollWidth > {root}.clientWidth"))

    def is_in_view(self, element: WebElement) -> bool:
        top, bottom, height = self.browser.execute_script(
            "const { top, bottom } = arguments[0].getBoundingClientRect(); return [top, bottom, innerHeight]",
            element,
        )
        return bool(top >= 0 and bottom <= height)

    def policy_violations(self) -> list[str]:
        lines = [entry["message"] for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]
        return [line for line in lines if "Content Security Policy" in line or "CORS" in line]
