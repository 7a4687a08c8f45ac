"""A reader's path in a real browser: `make test-browser`. Elsewhere each test says why it did not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_support import EDITIONS, REPOSITORY, Lab, copied_course, running_lab

from helpers.course.browser import BrowserError, find_browser

pytest.register_assert_rewrite("browser_checks", "browser_page")

if TYPE_CHECKING:
    from browser_page import Reader
    from playwright.sync_api import Browser


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder has the marker `browser`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium without a window; every test of this folder is skipped without one, with the reason."""
    try:
        program = find_browser()
    except BrowserError as error:
        pytest.skip(f"not run: {error}")
    from browser_page import FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a copy of the course, for somebody with an empty home folder."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "home").mkdir()
    with running_lab(copied_course(folder / "course"), folder / "home") as running:
        yield running


@pytest.fixture(scope="class", params=EDITIONS)
def reader(request: pytest.FixtureRequest, browser: Browser, lab: Lab) -> Iterator[Reader]:
    """The class's lesson, opened and run from top to bottom, in each edition that there is."""
    from browser_page import Reader

    lesson, edition = request.cls.lesson, request.param
    if not any((REPOSITORY / EDITIONS[edition]).glob(f"{lesson}_*.ipynb")):
        pytest.skip(f"not run: lesson {lesson} has no edition {edition}")
    someone = Reader(browser, lab, lesson, edition)
    try:
        someone.open()
        someone.picture("open")
        someone.run_all()
        yield someone
    finally:
        someone.close()
