"""The zip that `torch.save` writes: checked before it is unpacked, tensors rebuilt from checked bytes."""

from __future__ import annotations

import math
import re
import struct
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Self

import torch
from torch import Tensor

from helpers.pickles import CheckpointError, Global, Record, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_LAYER_MODULES = re.compile(r"(models\.(yolo|common|experimental)|torch\.nn\.modules\.\w+)\Z")
# A NumPy scalar (`best_fitness`) is made of these; they stay records.
_NUMPY = [
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
]
_MAX_PICKLE_BYTES = 8 << 20  # the largest official one has 0.4 MB
_MAX_ELEMENTS = 1 << 40


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes of the archive as a run of elements; not read yet."""

    key: str
    dtype: torch.dtype
    length: int


@dataclass(frozen=True, slots=True)
class TensorView:
    """A tensor that lies inside its storage; not read yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def recognize(path: Path) -> str:
    """What the first bytes say a file is."""
    with path.open("rb") as file:
        head = file.read(512)
    start = head.lstrip().lower()
    if head.startswith(b"PK\x03\x04"):
        return "a zip"
    if head[8:9] == b"{":
        return "safetensors"
    if not head:
        return "an empty file"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "an HTML page"
    if path.suffix == ".onnx":
        return "an ONNX graph"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if head.startswith(b"\x80"):
        return "a bare pickle or a file of torch before 1.6"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "a text file"
    return f"an unknown format (first bytes {head[:8]!r})"


@contextmanager
def _zip_errors(path: Path) -> Iterator[None]:
    """What `zipfile` raises on damaged files, as one error."""
    try:
        yield
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, struct.error) as error:
        found = f"a damaged or incomplete zip ({str(error)[:120]})"
        raise CheckpointError(f"{path}: {found}. Fix: get the file again") from error


class Archive:
    """A checkpoint's zip, open for reading; a context manager.

    Args:
        path: The file.

    Raises:
        CheckpointError: It is not such a zip, or not one that is safe to unpack.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _zip_errors(path):
            self._zip = zipfile.ZipFile(path)
        try:
            self._root = self._checked_root()
        except CheckpointError:
            self._zip.close()
            raise
        self._entries = {info.filename: info for info in self._zip.infolist()}
        self._cache: dict[str, Tensor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def refuse(self, found: str, fix: str = "get the file again") -> NoReturn:
        """Raise the one kind of error this class has."""
        raise CheckpointError(f"{self.path}: {found}. Fix: {fix}")

    def _checked_root(self) -> str:
        infos = self._zip.infolist()
        names = [info.filename for info in infos]
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            found = ascii(", ".join(sorted(names)[:3])[:120]) if names else "nothing"
            self.refuse(f"a zip, but not one torch.save wrote: expected one */data.pkl, got {found}")
        root = pickles[0].removesuffix("data.pkl")
        if any(name.startswith(f"{root}code/") for name in names):
            self.refuse("a TorchScript archive, not a checkpoint", "use the .pt file it was traced from")
        if len(set(names)) != len(names):
            self.refuse("a zip with several entries of one name")
        odd = [info for info in infos if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1]
        total, size = sum(info.file_size for info in infos), self.path.stat().st_size
        if odd or total > size:
            self.refuse(
                f"expected stored entries as torch.save writes them, got {len(odd)} compressed or encrypted "
                f"and {total} bytes of content in a file of {size}: possibly a zip bomb, not unpacked"
            )
        return root

    def _size(self, name: str) -> int:
        if (info := self._entries.get(self._root + name)) is None:
            self.refuse(f"entry {(self._root + name)[:80]} is missing: the file is incomplete")
        return info.file_size

    def _read(self, name: str) -> bytes:
        self._size(name)
        with _zip_errors(self.path):
            return self._zip.read(self._root + name)

    def read_pickle_bytes(self) -> bytes:
        """`data.pkl`, after the byte order and its size were checked."""
        if f"{self._root}byteorder" in self._entries and self._read("byteorder") != b"little":
            self.refuse("big-endian tensors; expected little-endian", "save it again on a common machine")
        if (size := self._size("data.pkl")) > _MAX_PICKLE_BYTES:
            self.refuse(f"a pickle of {size} bytes; expected at most {_MAX_PICKLE_BYTES}")
        return self._read("data.pkl")

    def rules(self) -> Rules:
        """What an official checkpoint may name: layers, tensor rebuilding, containers, a NumPy scalar."""
        calls: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": lambda pairs=(): dict(pairs),
            "torch._utils._rebuild_tensor_v2": self.view,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
            "torch.Size": lambda sizes=(): sizes,
        }
        # Sets hold names of non-persistent buffers, not needed here; `encode` makes NumPy's bytes.
        inert = [*_NUMPY, "_codecs.encode", "__builtin__.set", "builtins.set"]
        calls |= {name: (lambda *args, name=name: Record(name, args)) for name in inert}

        def is_class(found: Global) -> bool:
            return bool(_LAYER_MODULES.match(found.module) and re.fullmatch(r"[A-Z]\w*", found.name))

        return Rules(is_class, calls, frozenset({*DTYPES, "numpy.ndarray"}), self.storage)

    def storage(self, reference: Any) -> Storage:
        """What `('storage', type, key, device, length)` refers to; its size must be the entry's."""
        match reference:
            case ("storage", Global() as kind, str(key), _, int(length)) if str(kind) in DTYPES:
                storage = Storage(key, DTYPES[str(kind)], length)
            case _:
                self.refuse("its pickle has a reference that is no tensor storage; nothing of it was run")
        expected, got = length * storage.dtype.itemsize, self._size(f"data/{key}")
        if expected != got:
            self.refuse(f"storage {key}: expected {expected} bytes ({length} x {storage.dtype}), got {got}")
        return storage

    def view(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> TensorView:
        """A tensor as the pickle describes it; it must lie inside its storage."""
        match storage, size, stride:
            case Storage(), tuple(), tuple() if len(size) == len(stride):
                numbers = (offset, *size, *stride)
            case _:
                self.refuse("a malformed tensor: expected a storage, an offset, sizes and strides")
        if not all(type(n) is int and 0 <= n < _MAX_ELEMENTS for n in numbers):
            self.refuse("a malformed tensor: an offset, size or stride that is no sensible number")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        count = math.prod(size)
        if count and (last >= storage.length or count > storage.length):
            self.refuse(f"a tensor of size {size} reaches element {last} of a storage of {storage.length}")
        return TensorView(storage, offset, size, stride)

    def check_total(self, views: Iterable[TensorView]) -> None:
        """Refuse tensors that are far more than the file together: one storage under many names."""
        total = sum(math.prod(view.size) * view.storage.dtype.itemsize for view in views)
        if total > 2 * (size := self.path.stat().st_size):
            self.refuse(f"tensors of {total} bytes in a file of {size}: one storage under many names")

    def tensor(self, view: TensorView) -> Tensor:
        """Read one tensor; tensors of one storage share it."""
        storage = view.storage
        if storage.key not in self._cache:
            data = bytearray(self._read(f"data/{storage.key}"))
            empty = torch.empty(0, dtype=torch.uint8)
            self._cache[storage.key] = torch.frombuffer(data, dtype=torch.uint8) if data else empty
        return self._cache[storage.key].view(storage.dtype).as_strided(view.size, view.stride, view.offset)
