"""What this machine has for the course, line by line, each with its fix."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from helpers.course.place import is_headless, repository, settle
from helpers.download import bundled_weights
from helpers.table import Table
from helpers.wording import wording

__all__ = ["Finding", "Report", "check", "gpu_name"]

# Floors as in pyproject.toml; a test holds the two together.
FLOORS = {
    "numpy": "2.1", "onnx": "1.19", "onnxscript": "0.5.4", "onnx-ir": "0.1.9", "torch": "2.9",
    "safetensors": "0.5", "opencv-python-headless": "5", "matplotlib": "3.9", "ipywidgets": "8.1",
    "netron": "8",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: What was looked at.
        state: `ok`, `optional` (the course runs without it) or `missing`.
        found: What is there.
        fix: What to do; empty where nothing is.
    """

    what: str
    state: str
    found: str
    fix: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """All lines; shows itself as a table in a notebook."""

    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """True where nothing that the course needs is missing."""
        return all(finding.state != "missing" for finding in self.findings)

    def table(self, *, steady: bool | None = None) -> Table:
        """The report as a table; `steady` (headless: True) leaves out what differs between machines."""
        steady = is_headless() if steady is None else steady
        if not steady:
            rows = tuple((f.what, f.state, f.found, f.fix) for f in self.findings)
            return Table(("what", "state", "found", "fix"), rows)
        needed = (f for f in self.findings if f.what not in _MACHINE_ONLY)
        return Table(("what", "state", "fix"), tuple((f.what, f.state, f.fix) for f in needed))

    def __str__(self) -> str:
        """The table and one closing line."""
        return f"{self.table()}\n{self._closing()}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"{self.table()._repr_html_()}<p>{self._closing()}</p>"

    def _closing(self) -> str:
        return wording("ready: every lesson runs here" if self.ready else "not ready: see the column fix")


_MACHINE_ONLY = ("GPU", "ONNX Runtime on CUDA", "TensorRT", "Ultralytics")


def check() -> Report:
    """Look at Python, packages, ONNX Runtime, GPU, TensorRT, disk, weights and Ultralytics.

    >>> check().findings[0].what
    'Python'
    """
    settle()
    return Report((_python(), *_packages(), _runtime(), *_gpu(), _disk(), _weights(), _ultralytics()))


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    fix = "" if ok else "install Python 3.11 or newer, delete .venv, make run"
    return Finding("Python", "ok" if ok else "missing", platform.python_version(), fix)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _at_least(found: str, floor: str) -> bool:
    def numbers(text: str) -> Iterable[int]:
        return [
            int("".join(c for c in part if c.isdigit()) or 0)
            for part in text.partition("+")[0].split(".")[:3]
        ]

    return list(numbers(found)) >= list(numbers(floor))


def _packages() -> Iterable[Finding]:
    for name, floor in FLOORS.items():
        found = _installed(name)
        if found is None and name == "opencv-python-headless":
            found = _installed("opencv-python")
        ok = found is not None and _at_least(found, floor)
        yield Finding(
            name, "ok" if ok else "missing", found or "none", "" if ok else f'pip install "{name}>={floor}"'
        )


def _runtime() -> Finding:
    if not find_spec("onnxruntime"):
        return Finding("ONNX Runtime", "missing", "none", "pip install onnxruntime")
    import onnxruntime

    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    return Finding("ONNX Runtime", "ok", f"{onnxruntime.__version__}: {', '.join(providers)}")


def gpu_name() -> str | None:
    """Name and driver of the first NVIDIA GPU, as its driver answers; None where no driver does."""
    program = shutil.which("nvidia-smi")
    if program is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "-1":
        return None
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else None


def _gpu() -> Iterable[Finding]:
    name = gpu_name()
    if name is None:
        yield Finding("GPU", "optional", "no NVIDIA driver answers", "the course runs on the CPU")
        return
    yield Finding("GPU", "ok", name)
    import onnxruntime

    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    fix = "" if cuda else "pip uninstall onnxruntime; pip install onnxruntime-gpu"
    yield Finding("ONNX Runtime on CUDA", "ok" if cuda else "optional", "yes" if cuda else "no", fix)
    engine = _installed("tensorrt")
    yield Finding(
        "TensorRT", "ok" if engine else "optional", engine or "none", "" if engine else "pip install tensorrt"
    )


def _disk() -> Finding:
    free = shutil.disk_usage(repository()).free / 1e9
    ok = free >= 2
    return Finding("disk", "ok" if ok else "missing", f"{free:.0f} GB free", "" if ok else "free 2 GB here")


def _weights() -> Finding:
    path = Path(bundled_weights())
    ok = path.is_file()
    return Finding(
        "bundled weights", "ok" if ok else "missing", path.name, "" if ok else "git checkout -- data"
    )


def _ultralytics() -> Finding:
    found = _installed("ultralytics")
    fix = "" if found else 'pip install ".[ultralytics]"'
    return Finding("Ultralytics", "ok" if found else "optional", found or "none", fix)
