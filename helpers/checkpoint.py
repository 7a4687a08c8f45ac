"""Read official YOLOv7 checkpoints without running their pickle; read and write our `.safetensors`.

An official `.pt` is a zip whose `data.pkl` pickles a whole module of classes from `models.yolo` and
`models.common`. Unpickling normally imports and calls whatever the file names. Here every class named in
the file becomes an inert `_Record` that only holds its state, tensors are rebuilt by our own code from
bounds-checked bytes, and any other global is refused by name: nothing of the file runs.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.artifacts import atomic_path
from helpers.family import Architecture, LayerRow

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_INERT_MODULES = re.compile(r"(models\.(yolo|common|experimental)|torch\.nn\.modules\.\w+)\Z")
_INERT_OTHERS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    ("torch", "device"),
    ("torch", "Size"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
}
_MAX_PICKLE_BYTES = 64 << 20


class CheckpointError(ValueError):
    """A file is not a checkpoint that can be read safely; the message says what was found."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's architecture and weights.

    Attributes:
        architecture: Layer table, class names, anchors, strides.
        state_dict: Official parameter names (`model.0.conv.weight`, ...) to tensors, as stored.
        metadata: Free text carried along (`.safetensors` only).
    """

    architecture: Architecture
    state_dict: dict[str, Tensor] = field(repr=False)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the class scores."""
        return self.architecture.names


class _Record:
    """Stands in for a class of the pickle: holds state, does nothing."""

    kind = ""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {"state": state}


class _Inert(dict[str, Any]):
    """An `OrderedDict` of the pickle: a plain dict that ignores extra state (`_metadata`)."""

    def __setstate__(self, state: Any) -> None:
        """Ignore attributes."""


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    key: str
    length: int


class _Unpickler(pickle.Unpickler):
    """Turns the pickle into records and tensors; see the module's docstring."""

    def __init__(self, archive: _Archive) -> None:
        super().__init__(archive.open_pickle(), encoding="utf-8")
        self._archive = archive
        self._calls: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): _ordered_dict,
            ("__builtin__", "set"): _no_set,
            ("builtins", "set"): _no_set,
            ("_codecs", "encode"): _encode,
            ("torch._utils", "_rebuild_tensor_v2"): archive.tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Map a global to a stand-in, or refuse it."""
        if (module, name) in self._calls:
            return self._calls[module, name]
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        known = _INERT_MODULES.match(module) and re.fullmatch(r"[A-Z]\w*", name)
        if known or (module, name) in _INERT_OTHERS:
            return type(name, (_Record,), {"kind": name})
        raise CheckpointError(
            f"{self._archive.path}: its pickle asks for `{module}.{name}`, which no YOLOv7 checkpoint needs; "
            "nothing was run. Expected only tensors and layers of models.yolo / models.common. "
            "Fix: get the file from a source you trust, or re-save it with the official repository"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """`('storage', type, key, device, length)` as torch writes it."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and isinstance(pid[1], torch.dtype)):
            raise CheckpointError(f"{self._archive.path}: unknown reference {pid!r:.80} in its pickle; nothing was run")
        return _Storage(pid[1], str(pid[2]), int(pid[4]))


def _ordered_dict(*pairs: Any) -> _Inert:
    return _Inert(*pairs)


def _no_set(*_: Any) -> tuple[()]:
    return ()  # only non-persistent buffer names come as sets; not needed, and never hashed


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise CheckpointError(f"_codecs.encode: expected latin1 text, got {encoding!r:.40}")
    return text.encode("latin1")


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


class _Archive:
    """The zip around the pickle, checked before anything is read from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path)
        self._entries = {info.filename: info for info in self._zip.infolist()}
        pickles = [name for name in self._entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            found = ", ".join(sorted(self._entries)[:3]) or "nothing"
            raise CheckpointError(f"{path}: a zip, but not one torch.save wrote: expected one */data.pkl, got {found}")
        self._root = pickles[0].removesuffix("data.pkl")
        if any(name.startswith(f"{self._root}code/") for name in self._entries):
            raise CheckpointError(f"{path}: a TorchScript archive; expected the checkpoint (.pt) it was traced from")
        total = sum(info.file_size for info in self._entries.values())
        squeezed = [name for name, info in self._entries.items() if info.compress_type != zipfile.ZIP_STORED]
        if squeezed or total > path.stat().st_size:
            raise CheckpointError(
                f"{path}: expected stored entries as torch.save writes them, got {len(squeezed)} compressed ones and "
                f"{total} bytes of content in a file of {path.stat().st_size}: possibly a zip bomb, not unpacked"
            )
        if self._read("byteorder", default=b"little") != b"little":
            raise CheckpointError(f"{path}: big-endian tensors; expected little-endian. Fix: re-save on this machine")
        self._cache: dict[str, Tensor] = {}

    def _read(self, name: str, default: bytes | None = None) -> bytes:
        full = self._root + name
        if full not in self._entries:
            if default is None:
                raise CheckpointError(f"{self.path}: entry {full} is missing: the file is incomplete; download it again")
            return default
        return self._zip.read(full)

    def open_pickle(self) -> Any:
        """The pickle as a file object."""
        info = self._entries[self._root + "data.pkl"]
        if info.file_size > _MAX_PICKLE_BYTES:
            raise CheckpointError(f"{self.path}: a pickle of {info.file_size} bytes; expected at most {_MAX_PICKLE_BYTES}")
        return self._zip.open(info)

    def _storage(self, storage: _Storage) -> Tensor:
        if storage.key not in self._cache:
            data = self._read(f"data/{storage.key}")
            expected = storage.length * storage.dtype.itemsize
            if len(data) != expected:
                raise CheckpointError(
                    f"{self.path}: storage {storage.key}: expected {expected} bytes ({storage.length} x {storage.dtype}), "
                    f"got {len(data)}; the file is damaged, download it again"
                )
            raw = torch.frombuffer(bytearray(data), dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)
            self._cache[storage.key] = raw
        return self._cache[storage.key]

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        """Rebuild one tensor; its view must lie inside its storage."""
        numbers = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else (None,)
        if not isinstance(storage, _Storage) or len(size) != len(stride) or not all(
            isinstance(n, int) and n >= 0 for n in numbers
        ):
            raise CheckpointError(f"{self.path}: a malformed tensor (size {size!r:.60}, stride {stride!r:.60})")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) and last >= storage.length:
            raise CheckpointError(
                f"{self.path}: a tensor of size {size} reaches element {last} of a storage of {storage.length}"
            )
        if math.prod(size) > storage.length:
            raise CheckpointError(f"{self.path}: a tensor of size {size} over a storage of {storage.length} elements")
        return self._storage(storage).as_strided(size, stride, offset)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint: an official `.pt` (deploy or training form) or our `.safetensors`.

    Args:
        path: The file. If a training file holds an EMA model, that one is read, as the official code does.

    Returns:
        Architecture and weights, as stored (official files hold float16).

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is not such a checkpoint, or it is damaged or hostile; nothing of it was run.

    Example:
        >>> import tempfile, pathlib
        >>> page = pathlib.Path(tempfile.mkdtemp(), "best.pt")
        >>> _ = page.write_text("<!DOCTYPE html><title>404</title>")
        >>> load_checkpoint(page)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        helpers.checkpoint.CheckpointError: ...: an HTML page, not a checkpoint; ...
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: expected a file, got {path} (none there). Fix: check the path")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    _refuse_by_first_bytes(path)
    try:
        content = _Unpickler(_Archive(path)).load()
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path}: a damaged or incomplete zip ({error}); download it again") from error
    except CheckpointError:
        raise
    except (pickle.UnpicklingError, EOFError, TypeError, AttributeError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path}: its pickle is damaged ({type(error).__name__}: {error}); nothing was run") from error
    return _from_official(path, content)


def _refuse_by_first_bytes(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK\x03\x04"):
        return
    start = head.lstrip().lower()
    if not head:
        found = "an empty file"
    elif start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        found = "an HTML page"
    elif head.startswith(b"version https://git-lfs"):
        found = "a Git LFS pointer"
    elif head.startswith(b"\x80"):
        found = "a bare pickle or a file of torch before 1.6"
    elif all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        found = "a text file"
    else:
        found = f"an unknown format (first bytes {head[:8]!r})"
    raise CheckpointError(f"{path}: {found}, not a checkpoint; expected a zip as torch.save writes it. Fix: download it again")


def _from_official(path: Path, content: Any) -> Checkpoint:
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dict with a `model`, got {type(content).__name__}")
    model = content.get("ema") or content.get("model")
    if not isinstance(model, _Record):
        tensors = sum(isinstance(value, Tensor) for value in (model if isinstance(model, dict) else content).values())
        kind = f"a bare state dict ({tensors} tensors, no layer table)" if tensors else f"keys {list(content)[:5]}"
        raise CheckpointError(f"{path}: {kind}; expected the whole model, as the official train.py saves it")
    table = model.state.get("yaml")
    if not isinstance(table, dict) or not {"backbone", "head"} <= table.keys():
        raise CheckpointError(f"{path}: its {model.kind} has no layer table (`yaml`); expected a YOLOv7 model")
    state_dict: dict[str, Tensor] = {}
    _collect(model, "", state_dict)
    try:
        return Checkpoint(_architecture(path, model, table, state_dict), state_dict)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path}: its layer table is damaged ({type(error).__name__}: {error})") from error


def _collect(record: _Record, prefix: str, into: dict[str, Tensor]) -> None:
    for group in ("_parameters", "_buffers"):
        for name, value in (record.state.get(group) or {}).items():
            if isinstance(value, Tensor):
                into[prefix + name] = value
    for name, child in (record.state.get("_modules") or {}).items():
        if isinstance(child, _Record):
            _collect(child, f"{prefix}{name}.", into)


def _architecture(path: Path, model: _Record, table: dict[str, Any], state: dict[str, Tensor]) -> Architecture:
    rows = tuple(
        LayerRow(tuple(f) if isinstance(f, list) else f, n, module, tuple(None if a == "None" else a for a in args))
        for f, n, module, args in [*table["backbone"], *table["head"]]
    )
    names = model.state["names"]
    names = tuple(str(n) for n in (names.values() if isinstance(names, dict) else names))
    if len(names) != table["nc"]:
        raise CheckpointError(f"{path}: {len(names)} class names for {table['nc']} classes")
    grid = state[f"model.{len(rows) - 1}.anchor_grid"]
    anchors = tuple(tuple((float(w), float(h)) for w, h in level) for level in grid.reshape(len(grid), -1, 2))
    strides = tuple(int(s) for s in model.state["stride"])
    return Architecture(
        rows, names, anchors, strides, float(table["width_multiple"]), float(table["depth_multiple"]),
        int(table.get("ch", 3)),
    )


def save_checkpoint(
    checkpoint: Checkpoint, path: str | Path, *, dtype: torch.dtype | None = torch.float16
) -> None:
    """Write a `.safetensors` file that `load_checkpoint` reads; atomically.

    Args:
        checkpoint: What to write.
        path: Target; must end in `.safetensors`.
        dtype: Type of the floating-point tensors in the file; `None` keeps each as it is.

    Raises:
        CheckpointError: Another ending.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"path: expected a name ending in .safetensors, got {path.name}")
    a = checkpoint.architecture
    description = {
        "rows": [[r.source, r.number, r.module, r.args] for r in a.rows], "names": a.names,
        "anchors_px": a.anchors_px, "strides": a.strides, "width_multiple": a.width_multiple,
        "depth_multiple": a.depth_multiple, "input_channels": a.input_channels, "name": a.name,
    }  # fmt: skip
    tensors = {
        key: (value.to(dtype) if dtype and value.is_floating_point() else value).contiguous().clone()
        for key, value in checkpoint.state_dict.items()
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {**checkpoint.metadata, "yolov7": json.dumps(description, sort_keys=True)})


def _load_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one ({error})") from error
    try:
        d = json.loads(metadata.pop("yolov7"))
        rows = tuple(LayerRow(tuple(f) if isinstance(f, list) else f, n, m, tuple(a)) for f, n, m, a in d["rows"])
        anchors = tuple(tuple((float(w), float(h)) for w, h in level) for level in d["anchors_px"])
        architecture = Architecture(
            rows, tuple(d["names"]), anchors, tuple(d["strides"]), d["width_multiple"], d["depth_multiple"],
            d["input_channels"], d["name"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: safetensors without this project's `yolov7` description ({error!r})") from error
    return Checkpoint(architecture, tensors, metadata)
