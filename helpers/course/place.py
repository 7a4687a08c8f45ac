"""Where we are: the repository's folder, with or without a screen, under a check or in a reader's hands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from helpers.wording import wording

__all__ = ["is_checked", "is_headless", "relative", "repository", "say", "settle"]


def _is_set(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def is_checked() -> bool:
    """True where outputs are compared or committed: then CPU, offline and the bundled model are used.

    pytest says so by itself (`PYTEST_VERSION`), the course's own runner by `YOLOV7_CHECKED`.
    """
    return _is_set("YOLOV7_CHECKED") or _is_set("PYTEST_VERSION")


def is_headless() -> bool:
    """True where nobody can click: under a check, in CI, or where `YOLOV7_HEADLESS` says so."""
    return is_checked() or _is_set("YOLOV7_HEADLESS") or _is_set("CI")


def settle() -> None:
    """Make this process what `is_checked` and `is_headless` say; every lesson's first call does it.

    Sets environment variables that other libraries read: no GPU and no download under a check, and never an
    installation by Ultralytics. Labels speak the lesson's language from here on.
    """
    from helpers.course.language import settle_language

    settle_language()
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")
    if is_headless():
        os.environ["YOLOV7_HEADLESS"] = "1"
    if is_checked():
        os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "YOLOV7_OFFLINE": "1", "YOLO_OFFLINE": "True"}


def repository() -> Path:
    """The clone this package is installed from; the working folder where it is not installed from a clone."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


def relative(path: str | Path) -> str:
    """A path as a lesson prints it: from the repository's root, the same on every machine.

    >>> relative(repository() / "build" / "blood-cells" / "blood-cells.onnx")
    'build/blood-cells/blood-cells.onnx'
    """
    path = Path(path).resolve()
    return path.relative_to(repository()).as_posix() if path.is_relative_to(repository()) else path.name


def say(text: str = "") -> None:
    """Write one line for the reader, in the lesson's language where that has words for it.

    What the console's code page lacks (`→` on Windows, piped) is written as an escape.

    >>> say("one line")
    one line
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(f"{wording(text)}\n".encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
