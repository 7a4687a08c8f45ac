"""`make test-browser` where there is no browser: it says why; and what its tests are made of."""

import argparse
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from browser_support import EDITIONS, copied_course, readers_environment

from helpers.course import browser, cli
from helpers.course.browser import BrowserError

REASON = "browser: expected a Chromium, got none. Fix: install one"


def run(repository, *options, **environment):
    """Pytest on tests/browser, in a process of its own, where nothing is on PATH."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/browser", *options]
    done = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_nothing_is_chosen_unless_asked_for(repository):
    code, said = run(repository, "--collect-only")
    assert code == 5
    assert re.search(r"no tests collected \(\d+ deselected\)", said)


def test_each_says_why_it_did_not_run(repository):
    code, said = run(repository, "-m", "browser", YOLOV7_BROWSER="/no/such/browser")
    assert code == 0
    assert re.search(r"not run: (playwright|browser): expected", said)
    assert re.search(r"^\d+ skipped in", said, re.MULTILINE), said[-500:]


def test_without_a_browser_one_line_and_no_success(monkeypatch, capsys):
    def nothing():
        raise BrowserError(REASON)

    monkeypatch.setattr(browser, "find_browser", nothing)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing may run"))
    assert cli._test_browser(argparse.Namespace(lessons=[])) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"not run: make test-browser: {REASON}\n"


@pytest.mark.parametrize(
    ("lessons", "expected"),
    [
        ([], ["tests/browser"]),
        (["04", "06"], ["tests/browser/test_browser_04.py", "tests/browser/test_browser_06.py"]),
    ],
)
def test_with_a_browser_the_tests_run_and_the_pictures_are_named(monkeypatch, capsys, lessons, expected):
    asked = []
    monkeypatch.setattr(browser, "find_browser", lambda: "chromium")
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: asked.append(command) or SimpleNamespace(returncode=3)
    )
    assert cli._test_browser(argparse.Namespace(lessons=lessons)) == 3
    assert asked[0][1:] == ["-m", "pytest", "-q", "-m", "browser", *expected]
    assert capsys.readouterr().out == "pictures: build/browser\n"


def test_the_reader_gets_a_copy_of_the_lessons_and_nothing_that_was_made(repository, tmp_path):
    course = copied_course(tmp_path / "course")
    for edition in EDITIONS.values():
        names = {path.name for path in (repository / edition).glob("*.ipynb")}
        assert {path.name for path in (course / edition).glob("*.ipynb")} == names
    assert (course / "data" / "blood-cells.safetensors").is_file()
    assert not (course / "build").exists()
    assert not (course / "tests").exists()


def test_the_reader_is_nobody_who_checks_anything(monkeypatch, tmp_path):
    for name in ("CI", "YOLOV7_HEADLESS", "YOLOV7_CHECKED", "YOLOV7_MODEL", "MPLBACKEND", "JUPYTER_PATH"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PATH", "/somewhere")
    environment = readers_environment(tmp_path / "course", tmp_path / "home")
    assert environment["PATH"] == "/somewhere"
    assert environment["PYTHONPATH"] == str(tmp_path / "course")
    assert environment["HOME"] == str(tmp_path / "home")
    told = {name for name in environment if name.startswith(("YOLO", "PYTEST", "JUPYTER", "CI", "MPL"))}
    assert told == {"YOLOV7_OFFLINE", "YOLO_OFFLINE"}
