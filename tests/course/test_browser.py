"""What `make test-browser` needs is found, or named with its fix."""

import os

import pytest

from helpers.course import browser
from helpers.course.browser import BrowserError, find_browser

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs executable scripts")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program of some name on an otherwise empty PATH, with Playwright installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("YOLOV7_BROWSER", raising=False)
    monkeypatch.setattr(browser, "find_spec", lambda name: name)

    def make(name):
        path = tmp_path / (f"{name}.exe" if os.name == "nt" else name)
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def test_nothing_here(program):
    with pytest.raises(BrowserError, match=r"got none of chromium, .*google-chrome.* on PATH\. Fix: install"):
        find_browser()


def test_without_playwright_it_is_named_first(program, monkeypatch):
    program("chromium")
    monkeypatch.setattr(browser, "find_spec", lambda _: None)
    with pytest.raises(BrowserError, match=r"playwright: .*Fix: \.venv/bin/python -m pip install playwright"):
        find_browser()


@pytest.mark.parametrize("name", browser.BROWSERS)
def test_each_spelling_is_found(program, name):
    path = program(name)
    assert find_browser() == path


def test_the_first_of_several(program):
    program("google-chrome")
    path = program("chromium")
    assert find_browser() == path


def test_a_named_one_goes_before_and_must_be_there(program, monkeypatch):
    program("chromium")
    path = program("brave")
    monkeypatch.setenv("YOLOV7_BROWSER", "brave")
    assert find_browser() == path
    monkeypatch.setenv("YOLOV7_BROWSER", "/no/such/program")
    with pytest.raises(BrowserError, match="got none of /no/such/program on PATH"):
        find_browser()
