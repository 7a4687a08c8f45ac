"""What DESIGN and CONTRIBUTING promise about the code: short, no prints, no asserts, nothing swallowed."""

import ast
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "helpers").rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(function):
    """Lines of a function, its docstring aside."""
    first = function.body[0]
    is_doc = ast.get_docstring(function) is not None
    doc = first.end_lineno - first.lineno + 1 if is_doc else 0
    return function.end_lineno - function.lineno + 1 - doc


def everywhere(*kinds):
    return [
        (name, node) for name, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kinds)
    ]


def test_modules_are_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 255} == {}


def test_functions_are_short():
    lengths = {(name, node.name): code_lines(node) for name, node in everywhere(FUNCTIONS)}
    assert {place: length for place, length in lengths.items() if length > 45} == {}
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 25


def test_only_the_command_line_prints():
    calls = everywhere(ast.Call)
    found = {name for name, call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"}
    assert found <= {"helpers/__main__.py"}


def test_nothing_is_asserted_or_swallowed():
    assert [name for name, _ in everywhere(ast.Assert)] == []
    broad = (None, "Exception", "BaseException")
    handlers = [(name, getattr(node.type, "id", node.type)) for name, node in everywhere(ast.ExceptHandler)]
    assert [name for name, kind in handlers if kind in broad] == []


def test_every_module_says_what_it_is():
    assert [name for name, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_no_address_of_a_package_index():
    """An index is a setting (TORCH_INDEX), never part of a committed file."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git repository here")
    hosts = ["py" + "pi.", "python" + "hosted", "download." + "pytorch", "ana" + "conda.org"]
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".yml", ".ipynb", "") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [host for host in hosts if host in text], name
