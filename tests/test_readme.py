"""README and contributing notes: every link leads somewhere, every command is one that exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from helpers.course.colab import badge, repository_address

PAGES = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")


@pytest.fixture(params=PAGES)
def page(request, repository):
    return (repository / request.param).read_text("utf-8")


def blocks(text: str) -> list[str]:
    found = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line.split("#")[0].strip() for block in found for line in block.splitlines() if line.strip()]


def inline(text: str) -> list[str]:
    return re.findall(r"`((?:make|python) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_every_relative_link_leads_to_a_file(page, repository):
    for target in re.findall(r"\]\(([^)\s]+)\)", page):
        if not re.match(r"\w+:", target):
            assert (repository / target.split("#")[0]).exists(), target


def test_every_lesson_is_in_the_table_with_its_badge(repository):
    readme = (repository / "README.md").read_text("utf-8")
    for path in sorted((repository / "notebooks").glob("[0-9]*.ipynb")):
        assert f"](notebooks/{path.name})" in readme, path.name
        link = badge(f"notebooks/{path.name}", repository_address()).removeprefix("[Open in Colab]")
        assert f"[![Open in Colab](docs/colab.svg)]{link}" in readme, path.name


def test_both_readmes_say_the_same_commands_lessons_and_pictures(repository):
    english, chinese = ((repository / name).read_text("utf-8") for name in PAGES[:2])
    assert "[简体中文](README.zh-CN.md)" in english
    assert "[English](README.md)" in chinese
    assert blocks(chinese) == blocks(english)
    assert sorted(set(inline(chinese))) == sorted(set(inline(english)))
    assert [len(re.findall(form, chinese)) for form in (r"(?m)^## ", r"(?m)^\|", r"!\[|<img ")] == [
        len(re.findall(form, english)) for form in (r"(?m)^## ", r"(?m)^\|", r"!\[|<img ")
    ]
    for path in sorted((repository / "notebooks" / "zh-CN").glob("[0-9]*.ipynb")):
        assert f"](notebooks/zh-CN/{path.name})" in chinese, path.name
        link = badge(f"notebooks/zh-CN/{path.name}", repository_address()).removeprefix("[Open in Colab]")
        assert f"(docs/colab.svg)]{link}" in chinese, path.name


@pytest.mark.parametrize("name", PAGES[:2])
def test_an_anchor_in_a_lesson_is_one_of_its_headings(name, repository):
    page = (repository / name).read_text("utf-8")
    for target, anchor in re.findall(r"\]\((notebooks/[^)#]+)#([^)]+)\)", page):
        cells = json.loads((repository / target).read_text("utf-8"))["cells"]
        lines = [line for cell in cells if cell["cell_type"] == "markdown" for line in cell["source"]]
        headings = {re.sub("^#+ ", "", line).strip().replace(" ", "-") for line in lines if line[:1] == "#"}
        assert anchor in headings, (target, anchor)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_every_make_command_has_a_target(page, repository):
    for line in [*blocks(page), *inline(page)]:
        if line.startswith("make "):
            words = [word for word in line.split()[1:] if not word.endswith("...")]
            subprocess.run(["make", "-n", *words], cwd=repository, check=True, capture_output=True)


def test_every_python_command_is_known(page, repository):
    for line in [*blocks(page), *inline(page)]:
        words = line.split()
        if words[:3] == ["python", "-m", "helpers"] and "..." not in line:
            depth = 5 if words[3] == "course" else 4
            asked = (
                [sys.executable, *words[1:depth], "--help"]
                if words[3] != "--help"
                else [sys.executable, *words[1:]]
            )
            done = subprocess.run(asked, cwd=repository, capture_output=True, text=True, check=False)
            assert done.returncode == 0, line
        elif words[:2] == ["python", "bootstrap.py"]:
            assert f"python bootstrap.py {words[2]}" in (repository / "bootstrap.py").read_text("utf-8"), line


def test_the_two_commands_stand_right_under_the_clone(repository):
    lines = blocks((repository / "README.md").read_text("utf-8"))
    assert lines[0] == f"git clone {repository_address()}"
    assert lines[1:4] == [f"cd {repository_address().rsplit('/', 1)[-1]}", "make run", "make test"]


def test_the_course_commands_of_the_notes_exist(repository):
    text = (repository / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)", text)
    assert rows
    for name in rows:
        asked = [sys.executable, "-m", "helpers", "course", name, "--help"]
        assert subprocess.run(asked, cwd=repository, capture_output=True, check=False).returncode == 0, name


def test_the_licence_is_mit(repository):
    assert (repository / "LICENSE").read_text("utf-8").startswith("MIT License")
