"""What stands in front of an engine: 4 bytes of length (little-endian), that much JSON, then the plan.

Ultralytics reads and writes this form; `trtexec` and `trt.Runtime` want the plan alone, which `read_plan`
gives. This module touches neither TensorRT nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.session import DetectorError

__all__ = [
    "EngineError",
    "built_here",
    "check_origin",
    "engine_names",
    "pack_header",
    "read_header",
    "read_plan",
]

LONGEST = 1 << 20  # bytes; a longer one is no header but the beginning of a plan
EXCUSES = {"tensorrt": "version_compatible", "gpu": "hardware_compatible"}
"""What may differ, by the setting of the build that allows it."""


class EngineError(DetectorError):
    """An engine that cannot be built, or must not or cannot be loaded."""


def pack_header(header: Mapping[str, Any]) -> bytes:
    r"""The bytes that go in front of the plan; class numbers become text, as JSON has it.

    Example:
        >>> pack_header({"names": {0: "RBC"}})
        b'\x17\x00\x00\x00{"names": {"0": "RBC"}}'
    """
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "little") + text


def read_header(path: str | Path) -> dict[str, Any]:
    """The header of an engine; empty where the file begins with the plan itself.

    Raises:
        EngineError: There is no such file.
    """
    return _split(Path(path))[0]


def read_plan(path: str | Path) -> bytes:
    """The plan without the header: what `trtexec --loadEngine` and `trt.Runtime` take.

    Raises:
        EngineError: There is no such file, or it is shorter than its header says.

    Example:
        >>> import tempfile
        >>> engine = Path(tempfile.mkdtemp(), "a.engine")
        >>> _ = engine.write_bytes(pack_header({"stride": 32}) + b"ftrt...")
        >>> read_header(engine), read_plan(engine)
        ({'stride': 32}, b'ftrt...')
    """
    path = Path(path)
    header, start = _split(path)
    with path.open("rb") as file:
        file.seek(start)
        plan = file.read()
    expected = _made_by(header).get("plan_bytes", len(plan))
    if not plan or len(plan) != expected:
        raise EngineError(
            f"{path}: expected a plan of {expected if plan else 'some'} bytes, got {len(plan)}: the file is "
            "cut off or was changed. Fix: build it again"
        )
    return plan


def engine_names(path: Path) -> tuple[str, ...]:
    """Class names from the header of an engine, in the order of their numbers.

    Raises:
        EngineError: There is no such header, or it has no names.
    """
    try:
        names = read_header(path)["names"]
        return tuple(str(names[key]) for key in sorted(names, key=int))
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, EngineError):
            raise
        raise EngineError(
            f"{path}: expected a JSON header with class names in front of the engine, got none. "
            "Fix: build it with the header that Ultralytics reads"
        ) from error


def built_here(path: Path) -> bool:
    """Whether the manifest beside the file knows it by exactly this content.

    It may be stale (its graph has changed since), which is no question of safety.
    """
    from helpers.artifacts import Manifest, sha256

    entry = Manifest(path.parent).entries().get(path.name)
    return entry is not None and path.is_file() and entry["sha256"] == sha256(path)


def made_by(path: Path) -> dict[str, Any]:
    """What our builds say about themselves: TensorRT's version, the GPU, the platform; else empty."""
    return _made_by(read_header(path))


def check_origin(path: str | Path, here: Mapping[str, str]) -> None:
    """Compare what built an engine with where it is to run, before its plan is handed over.

    Args:
        path: The engine.
        here: This machine's `platform`, `tensorrt` and `gpu` (its compute capability), or some of them. What
            the header does not say is not compared.

    Raises:
        EngineError: Another platform, TensorRT or kind of GPU, and the engine was not built to bear that.

    Example:
        >>> import tempfile
        >>> engine = Path(tempfile.mkdtemp(), "a.engine")
        >>> _ = engine.write_bytes(pack_header({"made_by": {"tensorrt": "10.16.1.11"}}) + b"ftrt...")
        >>> check_origin(engine, {"tensorrt": "10.16.1.11"})
    """
    made = made_by(Path(path))
    for key, found in here.items():
        built, excuse = str(made.get(key, found)), EXCUSES.get(key)
        if not built.endswith(found) and not (excuse and made.get(excuse)):
            raise EngineError(
                f"{path}: built with {key} {built}, and here is {found}. An engine runs on what "
                "built it. Fix: build it again here from its .onnx file"
            )


def _made_by(header: dict[str, Any]) -> dict[str, Any]:
    found = header.get("made_by")
    return found if isinstance(found, dict) else {}


def _split(path: Path) -> tuple[dict[str, Any], int]:
    """Header, and where the plan begins."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(4), "little")
            text = file.read(length) if length < LONGEST else b""
    except OSError as error:
        raise EngineError(
            f"{path}: expected an engine, got none ({error.strerror}). Fix: check the path"
        ) from error
    try:
        header = json.loads(text)
    except ValueError:
        return {}, 0
    return (header, 4 + length) if isinstance(header, dict) else ({}, 0)
