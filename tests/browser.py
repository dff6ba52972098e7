"""A headless Chromium for the tests of pages: Debian's, driven by Playwright.

`python -m tests.browser` tells whether there is one; as root on Debian it installs it first.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VARIABLE = "HPO_TEST_BROWSER"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    found = (shutil.which(name) for name in (os.environ.get(VARIABLE, ""), *_NAMES) if name)
    return next((path for path in found if path), None)


def missing() -> str | None:
    """Say what the tests of pages lack here; None where they lack nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "found no playwright; `make test` installs it, or pip install -e '.[dev]'"
    if program() is None:
        return (
            "found no Chromium for the tests of pages; apt-get install chromium, which `make test` "
            f"does as root on Debian, or {VARIABLE}=/path/of/chromium"
        )
    return None


def until(page: "Page", condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, while the page goes on; what hangs, pytest ends."""
    while not condition():
        page.wait_for_timeout(10)


@contextmanager
def launched() -> "Iterator[Browser]":
    """Start the browser; skip the test where there is none, and fail it under CI."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    # Chromium's sandbox wants another user than root, and pages here are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=arguments)
        yield browser
        browser.close()


def _install() -> None:
    if program() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        packages = ["chromium", "fonts-dejavu-core"]
        install = ["install", "-qq", "-y", "--no-install-recommends", *packages]
        for arguments in (["update", "-qq"], install):
            subprocess.run(
                ["apt-get", *arguments], env=environment, check=False, stdout=subprocess.DEVNULL
            )


if __name__ == "__main__":
    _install()
    sys.exit(missing())
