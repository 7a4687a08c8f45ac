"""Open an ONNX file in ONNX Runtime: on the provider that was asked for, or with a clear refusal."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime

__all__ = ["DetectorError", "open_session", "read_metadata"]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
LITERALS = ("names", "imgsz", "args")


class DetectorError(ValueError):
    """A file that is no finished detector, or a provider that cannot run it."""


def open_session(
    path: str | Path | bytes,
    *,
    providers: str | Sequence[str] | None = None,
    threads: int = 0,
    trust: bool = False,
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on a file or on the bytes of one; a TensorRT engine behaves like one.

    Args:
        path: the `.onnx` file, or its bytes; or a `.engine`.
        providers: "cpu", "cuda", a list of ONNX Runtime providers, or None: CUDA where it works, else the CPU
            (always the CPU where `YOLOV7_HEADLESS` or `CI` is set).
        threads: within one operator; 0 lets ONNX Runtime choose.
        trust: load an engine that was not built here; loading one runs code that is in it.

    Raises:
        DetectorError: no ONNX graph, an engine that must not or cannot be loaded, or the provider that was
            asked for does not work here.
    """
    if not isinstance(path, bytes):
        from helpers.engine_session import EngineSession, looks_like_engine

        if looks_like_engine(path):
            return EngineSession(path, providers=providers, trust=trust)
        _refuse_other_files(Path(path))
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    wanted = _wanted_providers(providers, onnxruntime.get_available_providers())
    kinds = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
    )
    errors = tuple(getattr(state, kind) for kind in kinds)
    try:
        session = onnxruntime.InferenceSession(
            path if isinstance(path, bytes) else str(path), options, providers=wanted
        )
    except errors as error:
        label = "model bytes" if isinstance(path, bytes) else path
        raise DetectorError(f"{label}: ONNX Runtime cannot load it as an ONNX graph: {error}") from error
    if providers is not None and session.get_providers()[0] != wanted[0]:
        raise DetectorError(
            f"providers: asked for {wanted[0]}, but ONNX Runtime fell back to {session.get_providers()[0]}; "
            "check the NVIDIA driver, CUDA and cuDNN, or use providers='cpu'"
        )
    return session


def _wanted_providers(providers: str | Sequence[str] | None, available: Sequence[str]) -> list[str]:
    if providers is None:
        headless = any(os.environ.get(name, "") not in ("", "0") for name in ("YOLOV7_HEADLESS", "CI"))
        return [CUDA, CPU] if CUDA in available and not headless else [CPU]
    if isinstance(providers, str):
        providers = {"cpu": [CPU], "cuda": [CUDA, CPU]}.get(providers, [providers])
    if missing := [name for name in providers if name not in available]:
        raise DetectorError(
            f"providers: {', '.join(missing)} is not in this ONNX Runtime, which has {', '.join(available)}; "
            "use providers='cpu', or install onnxruntime-gpu for CUDA"
        )
    return list(providers)


def _refuse_other_files(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise DetectorError(
            f"{path}: expected an ONNX file, got none ({error.strerror}); check the path"
        ) from error
    found = ""
    if not head:
        found = "an empty file"
    elif head[:4] == b"PK\x03\x04":
        found = "a zip, maybe a PyTorch checkpoint; export it first: python -m helpers export"
    elif head[8:9] == b"{":
        found = "a safetensors checkpoint; export it first: python -m helpers export"
    elif all(byte >= 0x20 or byte in b"\t\n\r" for byte in head):
        found = f"text that begins {head.decode('utf-8', 'replace').strip()[:40]!r}"
    if found:
        raise DetectorError(f"{path}: expected an ONNX file, got {found}")


def read_metadata(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """The file's metadata; the values that are Python literals (names, imgsz, args) are read as such."""
    values: dict[str, Any] = dict(session.get_modelmeta().custom_metadata_map)
    for key in values.keys() & set(LITERALS):
        try:
            values[key] = ast.literal_eval(values[key])
        except (SyntaxError, ValueError) as error:
            raise DetectorError(
                f"metadata {key}: expected a Python literal, got {values[key][:80]!r}"
            ) from error
    return values
