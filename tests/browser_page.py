"""A reader at a notebook in JupyterLab: opens it, runs it, clicks, types, looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from browser_support import EDITIONS, REPOSITORY, SCRIPT, Lab

from helpers.course.language import catalog

if TYPE_CHECKING:  # doctests import this file where there is no playwright
    from playwright.sync_api import Browser, Locator, Page, Request, Route

PICTURES = REPOSITORY / "build" / "browser"
VIEW = {"width": 1280, "height": 900}
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-sandbox",
)  # fmt: skip
CLICK_MS, RUN_MS = 120_000, 900_000  # the machine may be busy: these limits only end what hangs


class Reader:
    """Somebody with one lesson open in one edition.

    Attributes:
        page: Playwright's page.
        outside: Addresses beyond this machine that the page asked for; they were refused.
        complaints: Errors in the browser's console.
    """

    def __init__(self, browser: Browser, lab: Lab, lesson: str, edition: str) -> None:
        folder = EDITIONS[edition]
        self.notebook = next((lab.course / folder).glob(f"{lesson}_*.ipynb")).relative_to(lab.course)
        self.lab, self.lesson, self.edition = lab, lesson, edition
        stored = nbformat.read(lab.course / self.notebook, as_version=4)
        self.ids = {cell.id: place for place, cell in enumerate(stored.cells)}
        self.code = [cell.id for cell in stored.cells if cell.cell_type == "code"]
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(viewport=VIEW)
        self.context.set_default_timeout(CLICK_MS)
        self.context.add_init_script(path=SCRIPT)
        self.page: Page = self.context.new_page()
        here = (lab.address, "data:", "blob:")
        self.page.route(lambda address: not address.startswith(here), self._refuse)
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _refuse(self, route: Route, request: Request) -> None:
        self.outside.append(request.url)
        route.abort()

    def open(self) -> None:
        """Open the notebook, wait until its kernel is ready, and put the list of files away."""
        self.page.goto(self.lab.url(self.notebook.as_posix()))
        self.page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        self.wait("course.opened", argument=self.notebook.as_posix())
        self.wait("course.idle")
        self.page.locator(".jp-SideBar.jp-mod-left .lm-TabBar-tab.lm-mod-current").first.click()

    def wait(self, condition: str, limit_ms: int = CLICK_MS, argument: Any = None) -> None:
        """Until a function of page.js, or an arrow function, is true."""
        self.page.wait_for_function(f"argument => ({condition})(argument)", arg=argument, timeout=limit_ms)

    def run_all(self) -> None:
        """Run > Run All Cells, and wait until the last one has finished."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
        self.wait("course.waiting")
        self.settle()

    def settle(self) -> None:
        """Until no cell waits, and the kernel is idle."""
        self.wait("course.idle", RUN_MS)

    def counts(self) -> list[str]:
        """The numbers beside the code cells, as they stand there."""
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()
        return [text.strip("[]: ") for text in prompts]

    def cell(self, name: str) -> Locator:
        """A cell by its id."""
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{self.ids[name]}"]')

    def show(self, name: str, part: str = "") -> Locator:
        """Scroll to a cell (or a part of it), so that it is drawn; the cell."""
        cell = self.cell(name)
        (cell.locator(part).first if part else cell).evaluate("e => e.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(150)
        return cell

    def output(self, name: str) -> str:
        """The text under a cell."""
        return str(self.page.evaluate("course.output", self.ids[name]))

    def output_after(self, name: str, action: Callable[[], object]) -> str:
        """The text under a cell once an action changed it."""
        before = self.output(name)
        action()
        self.wait("course.changed", RUN_MS, [self.ids[name], before])
        self.settle()
        return self.output(name)

    def answer(self, name: str, old: str, new: str) -> str:
        """Replace a piece of a code cell's text, run the cell, and read what it says."""
        source = self.page.evaluate("course.source", self.ids[name])
        assert source.count(old) == 1, f"{name}: expected {old!r} once in {source!r}"
        self.show(name).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source.replace(old, new))
        said = self.output_after(name, lambda: self.page.keyboard.press("Control+Enter"))
        self.page.keyboard.press("Escape")
        return said

    def is_right(self, said: str, exercise: str) -> bool:
        """Whether a checker said that an answer is right, in this edition's words."""
        return said == self.word("exercise {}: right").format(exercise)

    def is_hint(self, said: str, exercise: str) -> bool:
        """Whether a checker said one line, a hint."""
        beginning = self.word("exercise {}: not yet. {}").format(exercise, "")
        return said.startswith(beginning) and len(said) > len(beginning) + 10 and "\n" not in said

    def word(self, english: str) -> str:
        """A template in this edition's words."""
        return english if self.edition == "en" else catalog(self.edition).texts[english]

    def follows(self, name: str, text: str) -> bool:
        """Whether a click on a cell's link brings the heading of that name into view."""
        from playwright.sync_api import TimeoutError as TooLateError

        self.show(name).locator("li a").filter(has_text=text).first.click()
        heading = self.page.locator(".jp-MarkdownCell h2").filter(has_text=text).first.element_handle()
        try:
            self.wait("course.inView", 10_000, heading)
        except TooLateError:
            return False
        return True

    def slide(self, name: str, share: float) -> None:
        """Drag a cell's slider to a share of its length."""
        cell = self.show(name)
        rail, handle = cell.locator(".noUi-base").bounding_box(), cell.locator(".noUi-handle").bounding_box()
        mouse, y = self.page.mouse, handle["y"] + handle["height"] / 2
        mouse.move(handle["x"] + handle["width"] / 2, y)
        mouse.down()
        mouse.move(rail["x"] + share * rail["width"], y, steps=8)
        mouse.up()

    def upload(self, name: str, file: Path) -> None:
        """Click a cell's upload button and choose a file."""
        button = self.show(name).locator("button.jupyter-button")
        with self.page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files(file)

    def problems(self, kind: str) -> dict[str, list[str]]:
        """What a function of page.js finds in the code cells' outputs, by the cell's id."""
        self.page.set_viewport_size({**VIEW, "height": 4000})  # so that all of an output is drawn at once
        try:
            found = {name: self.show(name).evaluate(f"course.{kind}") for name in self.code}
        finally:
            self.page.set_viewport_size(VIEW)
        return {name: lines for name, lines in found.items() if lines}

    def theme(self, name: str) -> None:
        """`JupyterLab Dark` or `JupyterLab Light`."""
        self.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.wait("name => document.body.dataset.jpThemeName === name", argument=name)
        self.page.wait_for_timeout(500)

    def picture(self, step: str, name: str = "", part: str = "") -> Path:
        """Keep what the reader sees in build/browser; with a cell's name, that cell first."""
        if name:
            self.show(name, part)
        self.page.wait_for_timeout(250)
        folder = PICTURES if self.edition == "en" else PICTURES / self.edition
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.lesson}-{step}.png"
        self.page.screenshot(path=path)
        return path

    def pictures(self, step: str) -> None:
        """Keep the whole lesson, screen by screen."""
        panel = self.page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer")
        last = self.cell(list(self.ids)[-1])
        panel.evaluate("e => e.scrollTo(0, 0)")
        for number in range(60):
            self.picture(f"{step}-{number:02}")
            if last.evaluate("e => e.getBoundingClientRect().bottom") < VIEW["height"]:
                return
            panel.evaluate("e => e.scrollBy(0, e.clientHeight - 30)")

    def close(self) -> None:
        """Close the page and end the kernel."""
        self.context.close()
        self.lab.end_kernels()
