"""Try mutants: a copy of the project in a temporary folder, a process with the libraries, a fork for each.

The copy is what makes a mutant real: onnxscript reads its source, and a process that a test starts sees it.
The process imports the libraries once, and nothing of `helpers`; each fork imports the changed module and
runs its tests, those first that killed the most. What needs `../shared` or is marked slow is left out, so
figures are the same anywhere, and say what the quick tests see.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import os
import py_compile
import resource
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .mutants import Mutant

__all__ = ["Outcome", "Trials", "digest", "project_copy", "tests_of"]

COPIED = ("helpers", "tests")
NOT_LINKED = (*COPIED, "build", ".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache")
WARM = (
    "numpy", "onnx", "onnx.checker", "onnx.parser", "onnx.shape_inference", "onnx.version_converter",
    "onnxruntime", "onnxruntime.quantization", "onnxscript", "onnx_ir", "torch", "safetensors.torch", "cv2",
    "PIL.Image", "IPython.display", "ipywidgets", "matplotlib.pyplot", "_pytest.doctest", "yaml", "tqdm",
)  # fmt: skip
CPU_FACTOR, CPU_SPARE_S, WALL_FACTOR = 4, 10, 8
ALSO = {  # what others use is tested by some of them, too
    "helpers/patches/quantize_nodes.py": ["tests/patches/test_quantize.py"],
    "helpers/patches/quantize_ranges.py": ["tests/patches/test_quantize.py"],
    "helpers/patches/__init__.py": ["tests/patches/test_nms.py", "tests/patches/test_ultralytics.py"],
}
MEMORY_BYTES = 12 << 30
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "YOLO_AUTOINSTALL": "False"}
ENVIRONMENT |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # nbval takes seconds to import


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: `killed`, `timed out`, `survived`, or `broken`: it cannot even be imported."""

    outcome: str
    by: str = ""


@dataclass
class Trials:
    """The mutants of one module, tried one after the other in a copy of the project.

    Attributes:
        copy: The folder of the copy.
        module: The module below it, as in `helpers/patches/nms.py`.
        tests: Its test files; the module's own doctests are run, too.
    """

    copy: Path
    module: str
    tests: list[str]
    kills: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_s: float = 60.0

    def baseline(self) -> None:
        """Run the tests on what is not changed; they have to pass, and tell how long they take.

        Raises:
            RuntimeError: They fail.
        """
        found = self._fork(lambda: self._run(["-q"]), cpu_s=3600)
        if found.get("code") != 0:
            raise RuntimeError(f"{self.module}: its tests fail without any change: {found.get('by')}")
        self.seconds, self.cpu_s = found["seconds"], found["cpu_s"]
        py_compile.compile(str(self.copy / self.module))  # a guard: it is deleted before the first mutant
        self._forget_bytecode()

    def try_one(self, source: str, mutant: Mutant) -> Outcome:
        """Write the changed module, run its tests until one fails, put the module back."""
        path = self.copy / self.module
        path.write_text(mutant.applied(source), encoding="utf-8")
        try:
            found = self._fork(self._try, cpu_s=self.cpu_s * CPU_FACTOR + CPU_SPARE_S)
        finally:
            path.write_text(source, encoding="utf-8")
        if found.get("late"):
            return Outcome("timed out")
        if "broken" in found:
            return Outcome("broken", found["broken"])
        if found.get("code") == 0:
            return Outcome("survived")
        self.kills[found.get("by", "")] += 1
        return Outcome("killed", found.get("by") or f"ended with {found.get('code', 'a signal')}")

    def _try(self) -> dict[str, Any]:
        sys.dont_write_bytecode = True
        name = self.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001  any error at all means that there is nothing to test
            return {"broken": type(error).__name__}
        return self._run(["-q", "-x"])

    def _run(self, options: list[str]) -> dict[str, Any]:
        watch, before = _Watch(self.kills, self.seconds), time.process_time()
        arguments = [*options, "-p", "no:cacheprovider", "--tb=no", "-m", "not slow and not gpu"]
        code = pytest.main([*arguments, self.module, *self.tests], plugins=[watch])
        helpers = importlib.import_module("helpers")
        if not str(helpers.__file__).startswith(str(self.copy)):
            return {"code": -1, "by": f"the tests saw {helpers.__file__}, not the copy"}
        spent = time.process_time() - before
        return {"code": int(code), "by": watch.failed, "seconds": watch.seconds, "cpu_s": spent}

    def _fork(self, work: Any, *, cpu_s: float) -> dict[str, Any]:
        """Do `work` in a fork of this process, with limits; an empty answer if it did not come to its end."""
        answer = self.copy / ".answer.json"
        answer.unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                _become_a_child(self.copy, cpu_s)
                answer.write_text(json.dumps(work()), encoding="utf-8")
            os._exit(0)
        late = _wait(child, cpu_s * WALL_FACTOR)
        if late or not answer.is_file():
            return {"late": late}
        return dict(json.loads(answer.read_text(encoding="utf-8")))

    def _forget_bytecode(self) -> None:
        path = self.copy / self.module
        for each in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            each.unlink()


class _Watch:
    """A pytest plugin: the tests that killed most come first, then the quickest; notes what failed."""

    def __init__(self, kills: Counter[str], seconds: dict[str, float]) -> None:
        self.kills, self.known = kills, seconds
        self.seconds: Counter[str] = Counter()
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        costs: dict[str, float] = {}  # a test that shares a fixture may be the one that has to wait for it
        for item in items:
            for name in shared_fixtures(item):
                costs[name] = max(costs.get(name, 0.0), self.known.get(item.nodeid, 0.0))
        items.sort(
            key=lambda item: (
                -self.kills[item.nodeid],
                max([self.known.get(item.nodeid, 0.0), *(costs[name] for name in shared_fixtures(item))]),
            )
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = f"{report.nodeid}: not collected"


def shared_fixtures(item: pytest.Item) -> list[str]:
    """Fixtures that a test has in common with others, with the file they come from."""
    known = getattr(item, "_fixtureinfo", None)
    found = known.name2fixturedefs.values() if known else ()
    return [f"{each[-1].baseid}:{each[-1].argname}" for each in found if each[-1].scope != "function"]


def _become_a_child(copy: Path, cpu_s: float) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(copy / ".log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _wait(child: int, wall_s: float) -> bool:
    """Wait for a fork and end what it left behind; whether its time was up."""
    end, late = time.monotonic() + wall_s, False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            late = late or ended_by in (signal.SIGXCPU, signal.SIGKILL)
            break
        if time.monotonic() > end:
            late = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return late


@contextlib.contextmanager
def project_copy(root: Path, folder: Path) -> Iterator[Path]:
    """A copy of the project: sources and tests copied, all else linked; the process moves into it."""
    copy, here, paths = folder / "project", Path.cwd(), sys.path.copy()
    for name in COPIED:
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for each in root.iterdir():
        if each.name not in NOT_LINKED:
            (copy / each.name).symlink_to(each)
    environment = ENVIRONMENT | {"PYTHONPATH": str(copy), "YOLOV7_SHARED": str(folder / "nothing-shared")}
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    sys.path[:] = [str(copy), *(path for path in paths if path and Path(path).resolve() != root.resolve())]
    os.chdir(copy)
    try:
        yield copy
    finally:
        os.chdir(here)
        sys.path[:] = paths
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def warm_up() -> None:
    """Import the libraries, so that forks have them. What is not installed is not needed."""
    for name in WARM:
        with warnings.catch_warnings(), contextlib.suppress(ImportError):
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each fork's collector walks through all of them


def tests_of(root: Path, module: str) -> list[str]:
    """Test files of a module: its mirror, or else that of its family (of `filter_nodes`: `filter`)."""
    path = Path(module)
    folder = Path("tests") / path.parent.relative_to(path.parts[0])
    stem = path.stem.strip("_")
    family = (folder / f"test_{name}.py" for name in (stem, stem.split("_")[0]))
    mirror = [each.as_posix() for each in family if (root / each).is_file()][:1]
    return mirror + [name for name in ALSO.get(module, ()) if (root / name).is_file()]


def digest(root: Path, paths: list[str]) -> str:
    """Of the content of files."""
    return hashlib.sha256(b"\0".join((root / path).read_bytes() for path in paths)).hexdigest()[:16]


def record(mutant: Mutant, outcome: Outcome) -> dict[str, Any]:
    """Both, as one line of the file of outcomes."""
    return asdict(mutant) | asdict(outcome)
