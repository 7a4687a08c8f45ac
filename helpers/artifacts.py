"""Files handed from lesson to lesson: atomic writes, a manifest, and which file is stale."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and vanishes otherwise.

    Example:
        >>> target = Path(tempfile.mkdtemp(), "a.txt")
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('whole', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Hold `path` as a lock file; one older than `patience` seconds was left behind and is taken over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            break
        except PermissionError:  # on Windows, while the one before takes its lock away
            if not _WINDOWS or time.monotonic() > until:
                raise
            time.sleep(0.01)
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > patience:
                    path.unlink()
            time.sleep(0.01)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


class ArtifactError(RuntimeError):
    """A file of the pipeline is missing, stale or not the one that was made."""


_WINDOWS = os.name == "nt"
LESSONS = {
    "-fp16.onnx": "05_build_engine",
    "-ultralytics.onnx": "04_patch",
    "-batched.onnx": "04_patch",
    "-picture.onnx": "06_detect",
    "-int8.onnx": "07_quantize",
    "-end2end.onnx": "02_export",
    ".onnx": "02_export",
}
_VERSIONS = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "ultralytics")


def sha256(path: str | Path) -> str:
    """Hash of a file's content, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_onnx(path: Path) -> dict[str, Any]:
    """Opset, inputs and outputs (name, type, shape) of an ONNX file, without its weights' content."""
    import onnx

    model = onnx.load(path, load_external_data=False)

    def ports(values: Iterable[onnx.ValueInfoProto]) -> list[dict[str, Any]]:
        return [
            {
                "name": value.name,
                "type": onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower(),
                "shape": [d.dim_param or d.dim_value or None for d in value.type.tensor_type.shape.dim],
            }
            for value in values
        ]

    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    return {"opset": opset, "inputs": ports(model.graph.input), "outputs": ports(model.graph.output)}


@dataclass(frozen=True)
class Manifest:
    """`manifest.json` of one build folder: what each file is, and what it was made from.

    Attributes:
        folder: `build/<model>`.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("1"), (folder / "b.txt").write_text("2")
        >>> manifest = Manifest(folder)
        >>> manifest.record(folder / "b.txt", call="copy", sources=[folder / "a.txt"])
        >>> manifest.state(folder / "b.txt")
        'current'
        >>> _ = (folder / "a.txt").write_text("changed")
        >>> manifest.state(folder / "b.txt")
        'stale: a.txt has changed since'
    """

    folder: Path

    @property
    def path(self) -> Path:
        """Where the manifest lies."""
        return self.folder / "manifest.json"

    def entries(self) -> dict[str, dict[str, Any]]:
        """File name to entry; empty where there is no manifest yet.

        Raises:
            ArtifactError: The file is not a manifest.
        """
        if not self.path.exists():
            return {}
        try:
            files: dict[str, dict[str, Any]] = json.loads(self.path.read_text(encoding="utf-8"))["files"]
            whole = all(isinstance(e["sources"], dict) and e["sha256"] and e["call"] for e in files.values())
        except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{self.path}: no manifest ({type(error).__name__}). Fix: delete it; the files are made again"
            ) from error
        if not whole:
            raise ArtifactError(
                f"{self.path}: an entry is not whole. Fix: delete it; the files are made again"
            )
        return files

    def record(self, path: Path, *, call: str, sources: Sequence[Path] = (), **details: Any) -> None:
        """Enter a file: its hash, ports, what made it from which sources, and the versions at work.

        Args:
            path: The file; must exist.
            call: What made it, as a reader would type it.
            sources: The files it was made from.
            details: Anything else worth keeping.
        """
        entry: dict[str, Any] = {"sha256": sha256(path), "bytes": path.stat().st_size, "call": call}
        entry["sources"] = {_relative(source, self.folder): sha256(source) for source in sources}
        entry["versions"] = {name: version for name in _VERSIONS if (version := _version(name))}
        if path.suffix == ".onnx":
            entry |= describe_onnx(path)
        with _locked(self.folder / ".manifest.lock"):
            files = self.entries() | {path.name: entry | details}
            text = json.dumps({"files": files}, indent=2, sort_keys=True)
            with atomic_path(self.path) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")

    def state(self, path: Path, *, call: str | None = None, sources: Sequence[Path] | None = None) -> str:
        """`current`, `missing`, or `stale: <why>`.

        Args:
            path: The file asked about.
            call: If given, a file that another call made is stale.
            sources: If given, a file made from other content than theirs is stale; otherwise the sources that
                the manifest names are looked at.
        """
        entry = self.entries().get(path.name)
        if not path.exists():
            return "missing"
        if entry is None:
            return "stale: not in the manifest"
        if call is not None and entry["call"] != call:
            return f"stale: made by {entry['call']}"
        if sha256(path) != entry["sha256"]:
            return "stale: changed after it was made"
        if sources is not None:
            same = sorted(entry["sources"].values()) == sorted(sha256(source) for source in sources)
            return (
                "current"
                if same
                else f"stale: {', '.join(s.name for s in sources)} is not what it was made from"
            )
        for name, digest in entry["sources"].items():
            source = self.folder / name
            if not source.exists() or sha256(source) != digest:
                return f"stale: {Path(name).name} {'has changed since' if source.exists() else 'is gone'}"
        return "current"

    def require(self, path: Path) -> Path:
        """The path itself if the file is current.

        Raises:
            ArtifactError: It is missing or stale; the message names the lesson that makes it.
        """
        state = self.state(path)
        if state == "current":
            return path
        lesson = next(
            (lesson for ending, lesson in LESSONS.items() if path.name.endswith(ending)), "02_export"
        )
        raise ArtifactError(
            f"{path.name} is {state}. Lesson {lesson} makes it, and so does: "
            f"python -m helpers convert {self.folder.name}"
        )


def _relative(path: Path, folder: Path) -> str:
    """From the folder to the path, with forward slashes; on another drive the whole path."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
