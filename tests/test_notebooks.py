"""The committed notebooks keep every rule, and each rule catches a notebook that breaks it."""

from __future__ import annotations

import nbformat
import pytest

from helpers.course import editions, rules, twins, verified
from helpers.course.colab import colab_cell, repository_address
from helpers.course.place import repository

NOTEBOOKS = rules.all_notebooks()


# --- the real ones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[f"{p.parent.name}-{p.stem}" for p in NOTEBOOKS])
def test_a_committed_notebook_keeps_every_rule(path):
    assert rules.broken_rules(path) == []


def test_every_text_twin_has_its_notebook():
    for twin in twins.lessons():
        assert twins.notebook_of(twin).is_file(), f"{twin.name}: run python -m helpers course execute"


def test_the_number_of_cells_that_are_not_compared_is_held():
    ignored = dict.fromkeys(rules.NEEDED, 0)
    for path in NOTEBOOKS:
        ignored[editions.language_of(path)] += rules.ignored_cells(twins.read_notebook(path))
    assert max(ignored.values()) <= rules.MAX_IGNORED


def test_cell_ids_are_unique_within_a_notebook():
    for path in NOTEBOOKS:
        ids = [cell.id for cell in twins.read_notebook(path).cells]
        assert len(ids) == len(set(ids)), path.name


# --- the guard itself: a good notebook, and one for each way to be bad ------------------------------------

TITLE = """# 02 · Good

> **You need** nothing. **You get** a check.

## Contents

- [Idea](#Idea)
- [solutions](solutions/02_good.ipynb)"""
END = "## Summary\n\nDone.\n\n## Exercises\n\nThree.\n\nNext: [again](02_good.ipynb)"


def output(text: str, name: str = "stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def checks(said: str):
    return [
        (f'_ = exercises.check("02", {n}, answer)', [output(f"exercise 02.{n}: {said}\n")]) for n in (1, 2, 3)
    ]


def build(path, cells, *, title=TITLE, end=END):
    """A notebook of code cells `(source, outputs)` between a first and a last page, with its text twin."""
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": twins.KERNEL, "language_info": {"name": "python"}}
    )
    book.cells.append(nbformat.v4.new_markdown_cell(title, id="title"))
    for place, (source, outputs) in enumerate(cells):
        cell = nbformat.v4.new_code_cell(
            source, id=f"cell-{place}", outputs=outputs, execution_count=place + 1
        )
        if "google.colab" in source:
            cell.metadata["tags"] = ["colab"]
        book.cells.append(cell)
    book.cells.insert(2, nbformat.v4.new_markdown_cell("## Idea\n\nOne.", id="idea"))
    if title == TITLE:
        line = verified.verified_line(1)
        book.cells.append(nbformat.v4.new_markdown_cell(line, id="run", metadata={"tags": [verified.TAG]}))
    book.cells.append(nbformat.v4.new_markdown_cell(end, id="end"))
    save(book, path)
    return book


def save(book, path):
    twins.write_notebook(book, path)
    twin = twins.twin_of(path)
    twin.parent.mkdir(parents=True, exist_ok=True)
    twin.write_text(twins.render(book), "utf-8")


@pytest.fixture
def good(tmp_path):
    """Path and content of a lesson that keeps every rule; its solutions lie beside it."""
    folder = tmp_path / "notebooks"
    build(folder / "solutions" / "02_good.ipynb", checks("right"), title="# Solutions", end="done")
    path = folder / "02_good.ipynb"
    cells = [(colab_cell(repository_address()), []), ("print(1)", [output("1\n")])]
    return path, build(path, [*cells, *checks("waiting for your answer")])


def broken(path, book) -> str:
    save(book, path)
    return "\n".join(rules.broken_rules(path))


def test_the_good_lesson_breaks_no_rule(good):
    path, _ = good
    assert rules.broken_rules(path) == []
    assert rules.broken_rules(path.parent / "solutions" / path.name) == []


def strip(book):
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def source(text):
    def change(book):
        book.cells[3].source = text

    return change


def said(text, name="stdout"):
    def change(book):
        book.cells[3].outputs = [output(text, name)]

    return change


def data(kind, value):
    def change(book):
        book.cells[3].outputs = [nbformat.v4.new_output("display_data", data={kind: value})]

    return change


def metadata(**values):
    return lambda book: book.metadata.update(values)


def page(number, old, new):
    def change(book):
        assert old in book.cells[number].source
        book.cells[number].source = book.cells[number].source.replace(old, new)

    return change


def drop(number):
    return lambda book: book.cells.pop(number)


def count(number):
    def change(book):
        book.cells[3].execution_count = number

    return change


def fail(book):
    book.cells[3].outputs = [
        nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])
    ]


def other_count(book):
    book.cells[3].outputs = [
        nbformat.v4.new_output("execute_result", data={"text/plain": "1"}, execution_count=9)
    ]


def pad(book):
    book.cells[3].outputs = [output("x" * 310_000)]


def many_lines(book):
    for cell in book.cells[3:7]:
        cell.source = "\n".join(f"x{n} = {n}" for n in range(10)) + "\n" + cell.source


WAYS = {
    "stripped": (strip, "expected counts 1 to 5"),
    "one cell not run": (count(None), "executed top to bottom"),
    "run twice": (count(7), "executed top to bottom"),
    "an error": (fail, "holds the error ZeroDivisionError"),
    "an output of another run": (other_count, "another count than the cell"),
    "a shell line": (source("!ls"), "fail unseen: '!ls'"),
    "a magic": (source("%cd .."), "fail unseen: '%cd ..'"),
    "an indented shell line": (source("if True:\n    !false"), "fail unseen"),
    "an install": (source('run(["pip", "install", "x"])'), "only the Colab cell may"),
    "a hidden magic": (source("get_ipython().system('ls')"), "only the Colab cell may"),
    "sys.path": (source("import sys\nsys.path.insert(0, '..')"), "edits sys.path"),
    "too large": (pad, "expected at most 300 kB"),
    "a long cell": (source("\n".join(["x = 1"] * 26)), "26 lines, expected at most 25"),
    "long cells": (many_lines, "median of"),
    "another kernel": (
        metadata(kernelspec={"name": "venv", "display_name": "v"}),
        "expected python3, got venv",
    ),
    "widgets without state": (metadata(widgets={"application/x": {"version_major": 2}}), "without state"),
    "leftover metadata": (metadata(colab={"provenance": []}), "kernel and language alone"),
    "timings": (
        lambda book: book.cells[3].metadata.update(execution={"iopub.status.busy": "now"}),
        "metadata beyond tags",
    ),
    "a path": (said("written to /work/main/build/x\n"), "a path of one machine"),
    "a path in quotes": (data("text/plain", "PosixPath('/home/ada/x')"), "a path of one machine"),
    "a port": (data("text/html", "<iframe src='http://localhost:8080'>"), "an address of one machine"),
    "a warning": (said("UserWarning: x\n", "stderr"), "writes to stderr"),
    "a PNG": (data("image/png", "aGk="), "a PNG"),
    "no box": (page(0, "**You need**", "You need"), "'**You need**' is missing"),
    "no contents": (page(0, "## Contents", "## Content"), "'## Contents' is missing"),
    "no next": (page(-1, "Next:", "Then:"), "the link to the next one is missing"),
    "a next that is no link": (page(-1, "[again](02_good.ipynb)", "again"), "to the next one is missing"),
    "no Colab cell": (drop(1), "does not stand among the first cells"),
    "another Colab cell": (page(1, "colab", "coolab"), "not what helpers.course.colab says"),
    "never verified": (drop(-2), "last verified: expected one line that a run wrote, got []"),
    "verified by hand": (page(-2, "202", "2O2"), "last verified: expected one line that a run wrote"),
    "a dead anchor": (page(0, "#Idea", "#Ideas"), "no such heading"),
    "a dead link": (page(0, "solutions/02_good.ipynb", "solutions/03.ipynb"), "leads nowhere"),
    "two exercises": (drop(5), "expected checks"),
}


@pytest.mark.parametrize(("change", "complaint"), WAYS.values(), ids=list(WAYS))
def test_each_rule_catches_what_it_is_for(good, change, complaint):
    path, book = good
    change(book)
    assert complaint in broken(path, book)


def test_a_solution_that_is_not_right_is_caught(good):
    path, _ = good
    solutions = path.parent / "solutions" / path.name
    build(solutions, checks("not yet. Count again."), title="# Solutions", end="done")
    assert "solution 02.1: the checker does not say right" in "\n".join(rules.broken_rules(solutions))


def test_missing_solutions_are_caught(good):
    path, _ = good
    (path.parent / "solutions" / path.name).unlink()
    assert "solutions/02_good.ipynb is missing" in "\n".join(rules.broken_rules(path))


def test_a_twin_that_lags_behind_is_caught(good):
    path, book = good
    book.cells[3].source = "print(2)"
    twins.write_notebook(book, path)
    assert "text twin: differs" in "\n".join(rules.broken_rules(path))
    twins.twin_of(path).unlink()
    assert "is missing; run course sync" in "\n".join(rules.broken_rules(path))


def test_an_expected_error_is_allowed_by_its_tag(good):
    path, book = good
    fail(book)
    book.cells[3].metadata["tags"] = ["raises-exception"]
    assert broken(path, book) == ""


def test_the_sanitizer_file_replaces_little():
    text = (repository() / "notebooks" / "nbval.cfg").read_text("utf-8")
    assert text.count("regex:") == text.count("replace:") <= 4


# --- the same in another language ---------------------------------------------------------------------------

CHINESE = TITLE
for english, chinese in zip(rules.NEEDED["en"], rules.NEEDED["zh-CN"], strict=True):
    CHINESE = CHINESE.replace(english, chinese)
CHINESE_END = "## 小结\n\n完。\n\n## 练习\n\n三道。\n\n下一课：[再来](02_good.ipynb)"


@pytest.fixture
def chinese(good):
    """Path and content of the good lesson's Chinese edition; its solutions lie beside it."""
    english, _ = good
    folder = english.parent / "zh-CN"
    solutions = folder / "solutions" / english.name
    for path, said in ((solutions, "正确"), (folder / english.name, "等待你的答案")):
        source = twins.read_notebook(editions.english_of(path))
        there, back = ("../zh-CN/solutions", "../../solutions") if path == solutions else ("zh-CN", "..")
        source.cells[0].source += f"\n\n[中文]({there}/{path.name})"
        save(source, editions.english_of(path))
        text = twins.twin_of(path)
        title = "# 参考答案" if path == solutions else CHINESE
        title += f"\n\n[English]({back}/{path.name})"
        passages = {"title": title, "idea": "## Idea\n\n一。", "end": CHINESE_END}
        ids = [cell.id for cell in source.cells if cell.cell_type == "markdown" and cell.id in passages]
        editions.write_text(text, [editions.Passage(cell_id, "", passages[cell_id]) for cell_id in ids])
        assert editions.compare(text, source) == []
        path.parent.mkdir(parents=True, exist_ok=True)
        book = twins.push(text)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        for number, cell in enumerate(code, 1):
            cell.execution_count = number
        for number, cell in enumerate([c for c in code if "exercises.check" in c.source], 1):
            cell.outputs = [output(f"练习 02.{number}：{said}\n")]
        verified.put(book, verified.verified_line(1, "zh-CN"), path.stem)
        twins.write_notebook(book, path)
    return path, book


def test_the_good_chinese_lesson_breaks_no_rule(chinese):
    path, _ = chinese
    assert rules.broken_rules(path) == []
    assert rules.broken_rules(path.parent / "solutions" / path.name) == []


@pytest.mark.parametrize("solutions", [False, True])
def test_a_missing_language_switch_is_caught(chinese, solutions):
    path, _ = chinese
    path = path.parent / "solutions" / path.name if solutions else path
    book = twins.read_notebook(path)
    book.cells[0].source = book.cells[0].source.replace("](..", "](.")
    twins.write_notebook(book, path)
    link = "../../solutions/02_good.ipynb" if solutions else "../02_good.ipynb"
    assert f"expected a link to {link} in the first cell" in "\n".join(rules.broken_rules(path))
    english = editions.english_of(path)
    book = twins.read_notebook(english)
    book.cells[0].source = book.cells[0].source.replace("zh-CN", "zh")
    twins.write_notebook(book, english)
    assert "zh-CN/" in "\n".join(line for line in rules.broken_rules(english) if "switch" in line)


@pytest.mark.parametrize(
    ("cell_id", "complaint"),
    [
        ("idea", "cell idea: the English has changed and this has not"),
        ("cell-1", "edition: other than the English code or its text in ['cell-1']"),
    ],
)
def test_an_english_cell_that_changes_alone_is_caught(chinese, cell_id, complaint):
    path, _ = chinese
    english = editions.english_of(path)
    book = twins.read_notebook(english)
    next(cell for cell in book.cells if cell.id == cell_id).source += "  # 2"
    twins.write_notebook(book, english)
    assert complaint in "\n".join(rules.broken_rules(path))


def test_a_chinese_cell_that_was_edited_in_the_notebook_alone_is_caught(chinese):
    path, book = chinese
    next(cell for cell in book.cells if cell.id == "idea").source += "二。"
    twins.write_notebook(book, path)
    assert "or its text in ['idea']" in "\n".join(rules.broken_rules(path))
    twins.pull(path)
    assert rules.broken_rules(path) == []


def test_a_chinese_solution_that_is_not_right_is_caught(chinese):
    path, _ = chinese
    solutions = path.parent / "solutions" / path.name
    book = twins.read_notebook(solutions)
    book.cells[-2].outputs = [output("练习 02.3：还不对。再数一遍。\n")]
    twins.write_notebook(book, solutions)
    assert "solution 02.3: the checker does not say right" in "\n".join(rules.broken_rules(solutions))


def test_every_lesson_is_there_in_every_language():
    english = {path.stem for path in twins.lessons()}
    for language in rules.NEEDED:
        assert {path.stem for path in twins.lessons(language=language)} == english
