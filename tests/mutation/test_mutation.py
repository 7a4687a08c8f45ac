"""The tool for mutation tests: which changes it makes, and whole runs over a module with known survivors."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="trials fork, which Windows cannot")

from mutation import __main__ as command
from mutation import report, trial
from mutation.mutants import mutants_of

COUNT = '''"""Count."""

from __future__ import annotations


def full(count: int, slots: int = 3) -> bool:
    """Whether nothing is free.

    >>> full(3)
    True
    """
    if count < 0:
        raise ValueError("count: expected 0 or more; got less; fix: count again")
    return count >= slots


def shown(text: str) -> str:
    """A label."""
    return text.strip() or "-"
'''
TESTS = """import pytest
from helpers.patches.count import full, shown


@pytest.mark.parametrize("count", [0, 2])
def test_free(count):
    assert not full(count)


def test_less():
    with pytest.raises(ValueError, match="got less"):
        full(-2)


def test_shown():
    assert shown(" a") == "a"
"""


def changes(source):
    return {(each.old, each.new) for each in mutants_of(source)}


@pytest.mark.parametrize(
    "source",
    [
        "",
        '"""Text."""',
        "import math",
        "from os import path",
        "__all__ = ['a']\n__all__ += ['b']",
        "x: int",
        "def f(a: 3) -> 4: ...",
        "if TYPE_CHECKING:\n    x = 1",
        "@dataclass(frozen=True)\nclass A: ...",
        "x = 'two words'",
        "x = SomeError('word', f'{a}')",
        "x = op.Slice(9223372036854775807)",
        "x = zip(a, b, strict=True)",
        "x = cast('int', a)",
    ],
)
def test_nothing_to_change(source):
    assert changes(source) == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a + (b - c)", {("+", "-"), ("-", "+")}),
        ("x = (a)*(b)", {("*", "/")}),
        ("x = a <= b < c", {("<=", "<"), ("<", "<=")}),
        ("x = a is  not b", {("is  not", "is")}),
        ("x = a in b", {("in", "not in")}),
        ("x = -a", {("-a", "a")}),
        ("x = not a", {("not a", "a")}),
        ("x = a or (b)", {("a", "False"), ("b", "False")}),
        ("x = a and b", {("a", "True"), ("b", "True")}),
        ("x = 1", {("1", "0"), ("1", "2")}),
        ("x = 0", {("0", "1"), ("0", "(-1)")}),
        ("x = a[0]", {("0", "1")}),
        ("x = a[0:0]", {("0", "1"), ("0", "(-1)")}),
        ("x = 0.5", {("0.5", "1.0"), ("0.5", "0.25")}),
        ("x = 0.0", {("0.0", "1.0")}),
        ("x = True", {("True", "False")}),
        ("x = 'é'", {("'é'", "'XXé'")}),
        ("x = 'é'; y = ''", {("'é'", "'XXé'"), ("''", "'XX'")}),
        ("x = f'n/{a + 1}'", {("f'n/{a + 1}'", "f'XXn/{a + 1}'")}),
        ("x = f(k=a)", {("k=a", "")}),
        ("x = f(a, k=b, **c)", {(", k=b", "")}),
        ("x = f(k=a, l=b)", {("k=a, ", ""), (", l=b", "")}),
        ("x = np.array(a, t)", {(", t", "")}),
        ("x = op.Sub(a, b)", {("Sub", "Add"), ("a, b", "b, a"), (", b", "")}),
        ("x = op.Add(a, b)", {("Add", "Sub"), (", b", "")}),
        ("x = op.Elu(a, alpha=1.0)", {("1.0", "2.0"), ("1.0", "0.5")}),
        ("x = op.TopK(a, k, sorted=1)", {("a, k", "k, a"), (", k", ""), ("1", "0")}),
        ("x = op.Cast(a, to=b)", {(", to=b", "")}),
        ("x = op.Unknown(axis=a)", {("axis=a", "")}),
        ("x = np.float32", {("float32", "float64")}),
        ("x = any(a)", {("any", "all")}),
        ("f(a)", {("f(a)", "pass")}),
        ("a[b] = c", {("a[b] = c", "pass")}),
        ("a += b", {("a += b", "pass"), (" += ", " -= ")}),
        ("del a[b]", {("del a[b]", "pass")}),
        ("if a == b: f(c)", {("a == b", "(a == b) or True"), ("a == b", "(a == b) and False")}),
        ("if a < b: c = d", {("a < b", "(a < b) or True"), ("a < b", "(a < b) and False"), ("<", "<=")}),
        ("x = a if b else c", {("b", "(b) or True"), ("b", "(b) and False")}),
        ("x = [a for a in b if c]", {("c", "(c) or True"), ("c", "(c) and False")}),
        ("while a: b = c", {("a", "(a) and False")}),
        ("for a in b: continue", {("b", "()"), ("continue", "break")}),
        ("def f():\n    return a", {("a", "None")}),
        ("@script()\ndef f():\n    return op.Neg(a)", set()),
        ("try: a = b\nexcept (C, D): e = f", {("(C, D)", "()"), ("C", "()"), ("D", "()")}),
    ],
)
def test_changes(source, expected):
    assert changes(source) == expected


def test_each_mutant_parses_and_differs():
    found = mutants_of(COUNT)
    trees = {ast.dump(ast.parse(each.applied(COUNT))) for each in found}
    assert len(trees) == len(found)
    assert ast.dump(ast.parse(COUNT)) not in trees


def test_a_name_says_where_without_a_line_number():
    source = "class A:\n    def f(self):\n        self.g(1)\n        return 1 + 2\n"
    names = {each.new: each.name(source) for each in mutants_of(source)}
    assert names["-"] == "A.f: return 1 - 2"
    assert names["pass"] == "A.f: pass for self.g(1)"


@pytest.fixture
def project(tmp_path):
    """A project of one module and its tests, of which one mutant is known to survive."""
    for folder in ("helpers/patches", "tests/patches", "docs", "tests/mutation"):
        (tmp_path / folder).mkdir(parents=True)
    for package in ("helpers", "helpers/patches"):
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "helpers/patches/count.py").write_text(COUNT)
    (tmp_path / "tests/patches/test_count.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\naddopts = '--doctest-modules --import-mode=importlib'\n"
        "markers = ['slow', 'gpu']\n"
    )
    return tmp_path


CODE = """import sys
from pathlib import Path
from mutation import __main__ as command, trial
trial.WARM, trial.CPU_SPARE_S = (), 0
sys.exit(command.main(sys.argv[2:], root=Path(sys.argv[1])))"""


def run(project, *arguments):
    """The command, in a process of its own: it must not have imported `helpers`."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    ran = [sys.executable, "-c", CODE, str(project), *arguments]
    return subprocess.run(ran, capture_output=True, text=True, env=environment, check=False, cwd=project)


def known(project):
    return [json.loads(line) for line in (project / "build/mutants.jsonl").read_text().splitlines()]


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
def test_a_whole_run(project):
    ran = run(project, "helpers/patches/count.py")
    assert ran.returncode == 1, ran.stdout + ran.stderr  # a survivor without a reason
    first, page = known(project), project / "docs/mutants.md"
    alive = {(each["old"], each["new"]) for each in first if each["outcome"] == "survived"}
    assert alive == {("0", "(-1)"), ('"-"', '"XX-"'), ('"-"', "False")}
    killed = {(each["old"], each["new"]): each["by"] for each in first if each["outcome"] == "killed"}
    assert killed[">=", ">"] == "helpers/patches/count.py::helpers.patches.count.full"  # by the doctest alone
    assert killed["<", "<="] == "tests/patches/test_count.py::test_free[0]"
    assert len(killed) + len(alive) == len(first) == len(mutants_of(COUNT))
    assert (project / "helpers/patches/count.py").read_text() == COUNT
    made = len(first)
    row = f"| helpers/patches/count.py | {made} | {made} | {len(killed)} | 0 | 3 | {3 / made:.1%} |"
    assert row in page.read_text()
    assert page.read_text().count("**open**") == 3
    assert "Survivors: 3 open." in page.read_text()

    verdicts = ["'shown: return text.strip() or \"XX-\"' = 'wording'"]
    verdicts += ["'shown: return text.strip() or False' = 'wording'"]
    verdicts += ["'full: if count < (-1):' = 'accepted: why'", "'full: pass' = 'accepted: gone'"]
    text = "\n".join(['["helpers/patches/count.py"]', *verdicts])
    (project / "tests/mutation/accepted.toml").write_text(text)
    judged = run(project)
    assert known(project) == first  # nothing is tried twice
    assert judged.returncode == 0, judged.stdout
    assert "accepted.toml: helpers/patches/count.py: full: pass" in judged.stdout
    assert "**open**" not in page.read_text()

    tests = project / "tests/patches/test_count.py"
    tests.write_text(TESTS + '\n\ndef test_empty():\n    assert shown("") == "-"\n')
    run(project)  # survivors alone are tried against the new tests
    assert [each["outcome"] for each in known(project)[len(first) :]] == ["survived", "killed", "killed"]


@needs_fork
def test_loops_without_an_end_and_modules_that_do_not_import(project):
    source = "LIMIT = 1 / 1\n\n\ndef f(n: int = 1) -> int:\n    while n > 0:\n        n -= 1\n    return n\n"
    (project / "helpers/patches/count.py").write_text(source)
    (project / "tests/patches/test_count.py").write_text(
        "from helpers.patches.count import f\n\n\ndef test_f():\n    assert f() == f(3) == 0\n"
    )
    ran = run(project, "helpers/patches/count.py")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found = {(each["line"], each["old"], each["new"]): each["outcome"] for each in known(project)}
    assert found[1, "1", "0"] == "broken"
    assert found[6, "n -= 1", "pass"] == "timed out"
    assert found[6, " -= ", " += "] == "timed out"
    assert found[7, "n", "None"] == "killed"


@needs_fork
def test_tests_that_fail_anyway_are_told(project):
    (project / "tests/patches/test_count.py").write_text("def test_no():\n    assert False\n")
    ran = run(project, "helpers/patches/count.py")
    assert "helpers/patches/count.py: its tests fail without any change" in ran.stdout
    assert not (project / "build/mutants.jsonl").is_file()


def test_without_fork(monkeypatch, capsys, project):
    monkeypatch.delattr(os, "fork", raising=False)
    assert command.main([], root=project) == 2
    assert "without fork" in capsys.readouterr().out


def test_which_tests(repository):
    def names(module):
        return [path.rsplit("/", 1)[1] for path in trial.tests_of(repository, module)]

    assert names("helpers/patches/filter_find.py") == ["test_filter_find.py"]
    assert names("helpers/patches/filter_nodes.py") == ["test_filter.py"]
    assert names("helpers/course/exercises/lesson_04.py") == ["test_lesson_04.py"]
    assert names("helpers/patches/__init__.py") == ["test_init.py", "test_nms.py", "test_ultralytics.py"]


def test_a_verdict_may_name_the_beginning_alone():
    given = {"f: x = *": "wording", "f: x = 3*": "accepted: why", "f: x": "equivalent: why"}
    names = {"f: x = 1": "wording", "f: x = 30": "accepted: why", "f: x": "equivalent: why", "f: xy": ""}
    assert {name: report.verdict(name, given) for name in names} == names


def test_a_report_of_nothing():
    assert report.report([], {}).endswith("## Survivors\n\nNone.\n")


def test_every_reason_is_of_a_survivor_and_says_why(repository):
    """The verdicts' modules exist; a reason is one of three words and, for an acceptance, why."""
    verdicts = report.load_verdicts(repository / command.VERDICTS)
    for module, given in verdicts.items():
        assert (repository / module).is_file()
        for name, reason in given.items():
            assert reason.split(":")[0] in ("equivalent", "wording", "accepted"), (module, name)
            assert reason == "wording" or ": " in reason, (module, name)
