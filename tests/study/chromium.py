"""Chromium without a window, for pages as their readers see them: from the disk, with no network, on any screen.

Needs the extra `browser`, chromium and its chromedriver, which `.ci/run` installs.
"""

import contextlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAMS = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
MISSING = [name for name, path in PROGRAMS.items() if path is None]
MISSING += ["selenium"] * (importlib.util.find_spec("selenium") is None)
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]  # fmt: skip


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """A browser with a profile of its own, which records what it asks for and what it complains of."""
    from selenium import webdriver  # here, because without it this module can still say that it is missing

    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS["chromium"] or ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(PROGRAMS["chromedriver"]))
        try:
            driver.execute_cdp_cmd("Network.enable", {})
            yield driver
        finally:
            driver.quit()


def open_page(browser: Any, path: Path, width: int) -> list[str]:
    """Open a page on a screen of this width, with no network; return the addresses that it asked for."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    )
    browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    browser.get_log("performance")  # forget what was before
    browser.get(path.as_uri())
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
