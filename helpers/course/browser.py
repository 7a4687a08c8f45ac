"""What `make test-browser` needs: Playwright, which drives a browser, and a Chromium of this machine."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

__all__ = ["BrowserError", "find_browser"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


class BrowserError(RuntimeError):
    """There is no browser to test with, or nothing that drives it; the message says what to install."""


def find_browser() -> Path:
    """The browser to test with: what `YOLOV7_BROWSER` names, else the first Chromium on PATH.

    Returns:
        Path of its program.

    Raises:
        BrowserError: Playwright is not installed, or no such browser is here.
    """
    if find_spec("playwright") is None:
        raise BrowserError(
            "playwright: expected the package, got none. "
            "Fix: .venv/bin/python -m pip install playwright (its own browsers are not needed)"
        )
    named = os.environ.get("YOLOV7_BROWSER", "")
    found = next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)
    if found is None:
        raise BrowserError(
            f"browser: expected a Chromium, got none of {named or ', '.join(BROWSERS)} on PATH. "
            "Fix: install one (on Debian: apt-get install chromium), or set YOLOV7_BROWSER to its program"
        )
    return Path(found)
