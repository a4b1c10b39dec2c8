"""A headless Chromium that sends nothing of its own, and what it has seen."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUMS, DRIVERS = ("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1300,1000",
)
PATIENCE = 120.0  # seconds for anything that a page does by itself, on a busy machine


def program(names: tuple[str, ...]) -> str:
    """The path of the first of these programs; empty where there is none."""
    return next(filter(None, map(shutil.which, names)), "")


@contextmanager
def browser() -> Iterator[Chrome]:
    with tempfile.TemporaryDirectory(prefix="kernelwright-browser-") as profile:
        options = Options()
        options.binary_location = program(CHROMIUMS)
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = Chrome(options=options, service=Service(program(DRIVERS)))
        try:
            yield driver
        finally:
            driver.quit()


def see(driver: Chrome, page: Path | str) -> None:
    """Open a page, and wait until its charts are drawn."""
    driver.get(page.as_uri() if isinstance(page, Path) else page)
    wait(driver, "return !document.querySelector('[data-chart]') || document.documentElement.dataset.drawn")


def wait(driver: Chrome, script: str) -> None:
    """Until the script's value is true."""
    WebDriverWait(driver, PATIENCE).until(lambda one: one.execute_script(script))


def requested(driver: Chrome) -> list[str]:
    """Every address that pages asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def complaints(driver: Chrome) -> list[str]:
    """What the console said since the last call, favours and hints left out."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
