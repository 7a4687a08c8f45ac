"""Which machine this is, what is installed, and whether somebody else is using it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import time
from pathlib import Path

from helpers.course.verified import processor

PACKAGES = (
    "yolov7-graph-surgery", "onnxruntime", "onnxruntime-gpu", "onnx", "torch", "numpy",
    "opencv-python-headless", "ultralytics", "openvino", "ray", "tensorrt",
)  # fmt: skip
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")
BUSY = 0.10  # of the machine, taken by others
PROC = Path("/proc")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device() -> dict[str, object]:
    """Processor, cores, vector extensions, memory, GPU, system."""
    text = (PROC / "cpuinfo").read_text("utf-8") if (PROC / "cpuinfo").is_file() else ""
    flags = set(" ".join(re.findall(r"(?m)^(?:flags|Features)\s*:\s*(.+)$", text)[:1]).split())
    return {
        "cpu": processor(),
        "cores": cores(), "extensions": [flag for flag in FLAGS if flag in flags], "memory_gb": _memory_gb(),
        "gpu": _gpu(), "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }  # fmt: skip


def _memory_gb() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, OSError, ValueError):
        return None


def _gpu() -> str | None:
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else None


def host_kind(found: dict[str, object]) -> str:
    """A file name for machines of this kind.

    >>> host_kind({"cpu": "AMD EPYC (9B) @ 2.6GHz", "cores": 2, "gpu": None})
    '2-cores-amd-epyc-9b-2-6ghz'
    """
    words = [f"{found['cores']} cores", str(found["cpu"]), str(found.get("gpu") or "")]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def versions() -> dict[str, str]:
    """What is installed of the packages that matter here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Others:
    """How much of the machine others use: all that was busy, less what this process and its children used.

    Attributes:
        share: Of all cores, 0 to 1; None where the system does not say.
    """

    def __init__(self) -> None:
        self.share: float | None = None
        self._before = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Wall seconds, busy seconds of all cores, own seconds."""
        try:
            fields = [int(field) for field in (PROC / "stat").read_text("utf-8").split("\n")[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and waiting
        return time.monotonic(), busy, sum(os.times()[:4])

    def stop(self) -> float | None:
        """Since this was made; keeps it in `share`."""
        before, now = self._before, self._now()
        if before and now and now[0] > before[0]:
            wall, busy, own = (b - a for a, b in zip(before, now, strict=True))
            self.share = max(0.0, (busy - own) / (wall * (os.cpu_count() or 1)))
        return self.share


def busy_share(seconds: float = 1.0) -> float | None:
    """How much of the machine others use right now, watched for some seconds."""
    others = Others()
    time.sleep(seconds)
    return others.stop()
