"""`python -m helpers course …`: run, test, lab, execute, refresh, sync, check and the rest; see --help."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.course.language import LANGUAGES
from helpers.course.place import relative, repository, say

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name

__all__ = ["add_parser", "main", "test_commands"]


def add_parser(subparsers: Subparsers) -> None:
    """Hook `course` and its commands into a command line; each sets `run` to what carries it out."""
    course = subparsers.add_parser("course", help="run, test and maintain the lessons")
    commands = course.add_subparsers(dest="course_command", required=True)

    def command(name: str, text: str, action: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=text, description=text)
        parser.set_defaults(run=main, course_action=action)
        return parser

    run = command("run", "execute the lessons in order; pictures go to build/<model>/pictures", _run)
    run.add_argument("--model", help="blood-cells, an official name, or a checkpoint's path")
    command("test", "unit tests, doctests, and the notebooks under strict nbval", _test)
    command("test-gpu", "engines on this machine's NVIDIA GPU; a report in build/gpu", _test_gpu)
    browser = command("test-browser", "a reader's path in Chromium; pictures in build/browser", _test_browser)
    lab = command("lab", "open JupyterLab at lesson 00", _lab)
    lab.add_argument("options", nargs="*", help="passed on to JupyterLab; put -- in front")
    execute = command(
        "execute", "re-execute notebooks from their text twins and write them with outputs", _execute
    )
    again = command(
        "refresh", "re-execute the notebooks of every edition and show what changed, by cell", _refresh
    )
    again.add_argument("--no-run", action="store_true", help="execute nothing: show what has changed so far")
    sync = command("sync", "make notebooks from their text twins, keeping outputs that still belong", _sync)
    sync.add_argument("--from-notebook", action="store_true", help="the other way: twins from notebooks")
    check = command("check", "the rules that committed notebooks keep", _check)
    command("versions", "what is installed, and what moved since the lock", _versions)
    command("restamp", "write the repository's address into badges and clone lines", _restamp)
    command("picture", "the pictures outside lessons: README's, gallery, cheat sheets", _picture)
    translate = command("translate", "compare the Chinese text with the English, and stamp it", _translate)
    translate.add_argument("--accept", action="store_true", help="stamp unedited passages, too")
    for parser in (run, lab, execute, sync):
        parser.add_argument("--language", default="en", choices=LANGUAGES, help="edition; English without")
    for parser in (run, execute, again, sync, check, browser, translate):
        parser.add_argument("lessons", nargs="*", metavar="NN", help="lessons by number; all without")


def main(options: argparse.Namespace) -> int:
    """Carry out a parsed command; returns the exit code."""
    from helpers.course.runner import LessonFailedError

    try:
        return int(options.course_action(options))
    except (LessonFailedError, ValueError, OSError) as error:
        sys.stderr.write(f"course: {error}\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    from helpers.course import runner, twins

    wanted = twins.lessons(options.lessons, solutions=False, language=options.language)
    results, folder = runner.run(wanted, options.model)
    say(f"\n{runner.summary(results)}\n{runner.where(folder)}")
    return 0


def test_commands() -> list[list[str]]:
    """The test command in two parts: unit tests and doctests, then the notebooks under strict nbval."""
    from helpers.course import report

    pytest = [sys.executable, "-m", "pytest", "-q"]
    notebooks = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", "notebooks/nbval.cfg"]
    where = ["--override-ini", "addopts=", "--nbval-cell-timeout", "600"]
    where += ["notebooks", "--ignore", "notebooks/text"]
    units = ["-n", "2", "--dist", "loadfile", "tests", "helpers"]
    commands = [[*pytest, *report.options("units"), *units]]
    if any((repository() / "notebooks").glob("*.ipynb")):
        commands.append([*pytest, *report.options("notebooks"), *notebooks, *where])
    return commands


def _test(_options: argparse.Namespace) -> int:
    from helpers.course import report

    environment = {**os.environ, "YOLOV7_CHECKED": "1", "YOLOV7_HEADLESS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    environment |= {
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONUTF8": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    environment.pop("YOLOV7_LANGUAGE", None)  # each edition speaks its own
    report.forget()
    commands = test_commands()
    codes = [
        subprocess.run(command, cwd=repository(), env=environment, check=False).returncode
        for command in commands
    ]
    check = report.read(("units", "notebooks")[: len(commands)])
    say(f"\n{report.closing(check)}\n{report.notices(check)}".rstrip())
    report.publish(report.markdown(check))
    return max(codes)


def _test_gpu(_options: argparse.Namespace) -> int:
    """The tests with the marker `gpu`; 1 where there is no GPU, because then nothing was tested."""
    from helpers.engine import require_tensorrt
    from helpers.engine_header import EngineError

    try:
        require_tensorrt("make test-gpu")
    except EngineError as error:
        sys.stderr.write(f"not run: {error}\n")
        return 1
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "YOLOV7_HEADLESS")}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"]
    environment |= {"YOLO_AUTOINSTALL": "False"}
    code = subprocess.run(command, cwd=repository(), env=environment, check=False).returncode
    say("reports: build/gpu/latency.txt, latency.json, seen.txt, inspector-*.json")
    return code


def _test_browser(options: argparse.Namespace) -> int:
    """The tests with the marker `browser`; 1 where there is no browser, because then nothing was tested."""
    from helpers.course.browser import BrowserError, find_browser

    try:
        find_browser()
    except BrowserError as error:
        sys.stderr.write(f"not run: make test-browser: {error}\n")
        return 1
    where = [f"tests/browser/test_browser_{number}.py" for number in options.lessons] or ["tests/browser"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "browser", *where]
    code = subprocess.run(command, cwd=repository(), check=False).returncode
    say("pictures: build/browser")
    return code


def _lab(options: argparse.Namespace) -> int:
    edition = "" if options.language == "en" else options.language
    first = sorted((repository() / "notebooks" / edition).glob("00_*.ipynb"))
    as_root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # inside a container
    command = [sys.executable, "-m", "jupyterlab", *map(str, first[:1]), *as_root, *options.options]
    return subprocess.run(command, cwd=repository() / "notebooks", check=False).returncode


def _execute(options: argparse.Namespace) -> int:
    from helpers.course import gallery, runner, twins

    wanted = twins.lessons(options.lessons, language=options.language)
    try:
        say(f"\n{runner.summary(runner.execute(wanted))}")
    finally:  # lessons before one that failed were written
        shown = gallery.renew((options.language,))
    return max(shown, _check(options))


def _refresh(options: argparse.Namespace) -> int:
    from helpers.course import gallery, refresh

    code = refresh.refresh(refresh.every_edition(options.lessons), run=not options.no_run)
    return max(code, gallery.renew())


def _versions(_options: argparse.Namespace) -> int:
    from helpers.course import versions

    say(versions.show())
    return 0


def _sync(options: argparse.Namespace) -> int:
    from helpers.course import editions, twins
    from helpers.course.rules import all_notebooks

    if options.from_notebook:
        wanted = tuple(options.lessons) or ("",)
        changed: Sequence[Path] = [
            twins.pull(path) for path in all_notebooks()
            if path.name.startswith(wanted) and editions.language_of(path) == options.language
        ]  # fmt: skip
    else:
        changed = twins.lessons(options.lessons, language=options.language)
        for twin in changed:
            twins.push(twin)
    say("\n".join(relative(path) for path in changed) or "no lessons yet")
    return 0


def _check(options: argparse.Namespace) -> int:
    from helpers.course.rules import all_notebooks, broken_rules

    wanted = tuple(options.lessons) or ("",)
    paths = [path for path in all_notebooks() if path.name.startswith(wanted)]
    broken = [f"{relative(path)}: {line}" for path in paths for line in broken_rules(path)]
    say("\n".join(broken) or f"{len(paths)} notebooks keep every rule")
    return 1 if broken else 0


def _translate(options: argparse.Namespace) -> int:
    """For each lesson in another language: what it shares with the English and lacks; then its stamps."""
    from helpers.course import editions, twins

    lacking = 0
    for english in twins.lessons(options.lessons):
        notebook = twins.read_notebook(twins.notebook_of(english))
        for language in LANGUAGES:
            if language != "en":
                text = editions.text_of(english, language)
                lines = editions.compare(text, notebook, accept=options.accept)
                lacking += len(lines)
                say("\n".join([f"{relative(text)}: {len(lines) or 'nothing'} to look at", *lines]))
    return 1 if lacking else 0


def _restamp(_options: argparse.Namespace) -> int:
    from helpers.course.colab import repository_address, restamp

    changed = restamp()
    say(f"address: {repository_address()}")
    say("\n".join(f"restamped {relative(path)}" for path in changed) or "nothing to restamp")
    return 0


def _picture(_options: argparse.Namespace) -> int:
    from helpers.course import gallery
    from helpers.course.cheat_sheet import write_sheet
    from helpers.course.portrait import make_portrait

    docs = repository() / "docs"
    paths = [make_portrait(), *(path for language in LANGUAGES for path in write_sheet(docs, language))]
    for path in [*paths, *(repository() / path for path in gallery.update())]:
        size = f"{path.stat().st_size / 1000:.0f} kB" if path.is_file() else "removed"
        say(f"{relative(path)}  {size}")
    return 0
