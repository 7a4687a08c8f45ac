"""What the command line accepts: numbers in range, picture sizes, folders, names of new files.

Each is a `type=` of `argparse`, so a wrong value ends the command before any work is done.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_thresholds", "class_names", "folder", "new_onnx_file", "number", "picture_size"]
__all__ += ["show_every_letter", "whole"]


def show_every_letter() -> None:
    """Let a console whose code page lacks a letter (`→` on Windows, piped) show an escape, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def picture_size(text: str) -> tuple[int, int]:
    """Width and height in pixels.

    >>> picture_size("640"), picture_size("640x480")
    ((640, 640), (640, 480))
    """
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 640 or 640x480 (width x height), got {text!r}") from None


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """A parser of finite numbers from `low` to `high`.

    >>> number(0, 1)("0.5")
    0.5
    """

    def number(text: str) -> float:
        value = float(text)
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {text!r}")
        return value

    return number


def whole(low: int, high: float = math.inf) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`.

    >>> whole(1)("7")
    7
    """

    def whole(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return value

    return whole


def folder(text: str) -> Path:
    """A folder, there or not, but not a file."""
    if Path(text).exists() and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, got the file {text}")
    return Path(text)


def new_onnx_file(text: str) -> Path:
    """The name of an `.onnx` file to write."""
    if Path(text).suffix != ".onnx" or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected the name of an .onnx file to write, got {text!r}")
    return Path(text)


def class_names(text: str | None) -> tuple[str, ...] | None:
    """Names from a list with commas; `coco` stands for COCO's.

    >>> class_names("RBC, WBC"), class_names(None)
    (('RBC', 'WBC'), None)
    """
    given = tuple(name.strip() for name in text.split(",")) if text else None
    if given != ("coco",):
        return given
    from helpers.patches.metadata import COCO_NAMES

    return COCO_NAMES


def add_thresholds(command: argparse.ArgumentParser) -> None:
    """Add the options of the NMS, with the official exporter's values."""
    option = command.add_argument
    option("--iou", type=number(0, 1), default=0.65, help="overlap above which the weaker box goes (0.65)")
    option("--conf", type=number(0, 1), default=0.35, help="score that a box must exceed (0.35)")
    slots = "most boxes a picture, and slots of the output (100)"
    option("--topk", type=whole(1, 3839), default=100, help=slots)
    text = "pixels between classes in the NMS (default: safe; official: 640)"
    option("--max-wh", type=number(0), help=text)
