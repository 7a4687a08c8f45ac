"""The results of a large folder: Parquet files that are at once the table and the list of what is done.

A folder of results holds `part-<key>.parquet`, each written whole or not at all. A picture is done when its
row is there with the size and time of change that the file has now; so a killed job goes on where it was, and
a picture that was replaced is looked at again. Names with `_` or `.` in front are ours; readers skip them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from helpers.artifacts import atomic_path
from helpers.images import IMAGE_SUFFIXES, ImageError

__all__ = ["Picture", "Results", "ScaleError", "list_pictures", "package", "part_name"]

SCHEMA_VERSION = 1
KEY = ("path", "bytes", "modified_ns")


class ScaleError(RuntimeError):
    """A job that cannot go on: other results in the folder, another run at work in it, workers that die."""


@dataclass(frozen=True, order=True)
class Picture:
    """One file of the folder, as it was when it was listed.

    Attributes:
        path: From the folder on, with forward slashes.
        bytes: Its size.
        modified_ns: When it was last changed, nanoseconds since 1970.
    """

    path: str
    bytes: int
    modified_ns: int


def package(name: str) -> Any:
    """A package of the extra `scale`.

    Raises:
        ImportError: it is not installed.

    >>> package("pyarow")
    Traceback (most recent call last):
    ImportError: many pictures need the package pyarow, which is not installed; ...
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"many pictures need the package {name.partition('.')[0]}, which is not installed; "
            "it comes with the extra scale: yolov7-graph-surgery[scale]"
        ) from error


def list_pictures(folder: str | Path) -> list[Picture]:
    """Every picture file in a folder and the folders below it, in the order of their paths.

    Raises:
        ImageError: no such folder, or no picture in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImageError(f"folder: expected a folder of pictures, got {folder}; check the path")
    found = []
    for path in root.rglob("*"):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            stat = path.stat()
            found.append(Picture(path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns))
    if not found:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise ImageError(f"folder: expected at least one picture ({kinds}) in {folder}, got none")
    return sorted(found)


def part_name(pictures: Sequence[Picture]) -> str:
    """The file of these pictures; the same pictures always give the same name.

    >>> part_name([Picture("a.jpg", 10, 1)]) == part_name([Picture("a.jpg", 10, 2)])
    False
    """
    text = json.dumps([astuple(picture) for picture in pictures])
    return f"part-{sha256(text.encode()).hexdigest()[:16]}.parquet"


def schema() -> Any:
    """The columns of a row: one picture, its boxes as lists."""
    pa = package("pyarrow")
    word = pa.dictionary(pa.int32(), pa.string())
    columns = {
        "path": pa.string(), "bytes": pa.int64(), "modified_ns": pa.int64(),
        "width": pa.int32(), "height": pa.int32(),
        "boxes_xyxy": pa.list_(pa.list_(pa.float32(), 4)), "scores": pa.list_(pa.float32()),
        "class_ids": pa.list_(pa.int32()), "names": pa.list_(pa.string()),
        "error": pa.string(), "model": word, "versions": word,
    }  # fmt: skip
    return pa.schema(list(columns.items()), metadata={"yolov7_results": str(SCHEMA_VERSION)})


@dataclass(frozen=True)
class Results:
    """A folder of results.

    Attributes:
        folder: Where the Parquet files lie.
    """

    folder: Path

    def parts(self) -> list[Path]:
        """The Parquet files, by name."""
        return sorted(self.folder.glob("part-*.parquet"))

    @contextmanager
    def opened(self, job: dict[str, Any]) -> Iterator[None]:
        """Hold the folder for one job, which must be the one that filled it so far.

        Raises:
            ScaleError: another process holds it, or it holds the results of another job.
        """
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "_lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ScaleError(
                f"{self.folder}: expected a folder that no one writes to, got one that another run holds; "
                "wait for it, or name another folder"
            ) from error
        try:
            self._same_job({"schema": SCHEMA_VERSION, **job})
            self._sweep()
            yield
            self._sweep()
            self.unite()
        finally:
            lock.release()

    def _same_job(self, job: dict[str, Any]) -> None:
        path = self.folder / "_job.json"
        if not path.is_file():
            if self.parts():
                raise ScaleError(f"{self.folder}: has results without _job.json; name another folder")
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(job, indent=2) + "\n", "utf-8")
            return
        try:
            known: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise ScaleError(
                f"{path}: expected what a run wrote there, got no JSON; name another folder"
            ) from error
        if other := [
            f"{key} {known.get(key)!r}, not {value!r}"
            for key, value in job.items()
            if known.get(key) != value
        ]:
            raise ScaleError(
                f"{self.folder}: holds the results of another job ({'; '.join(other)}); name another folder"
            )

    def _sweep(self) -> None:
        """What a killed run may have left: files half written, notes of parts at work."""
        for path in (*self.folder.glob(".part-*"), *(self.folder / "_running").glob("*")):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            (self.folder / "_running").rmdir()

    def done(self) -> set[Picture]:
        """Every picture that has a row."""
        keys = (self._read(path, list(KEY)) for path in self.parts())
        return {Picture(**row) for table in keys for row in table.to_pylist()}

    def drop(self, paths: Iterable[str]) -> int:
        """Remove the rows of pictures that are about to be looked at again; returns how many there were."""
        wanted = set(paths)
        return self._remove(wanted.__contains__) if wanted else 0

    def unite(self) -> int:
        """Leave each picture one row; returns how many were too many.

        The workers of a killed run live on for a moment: what they still write, the next run does, too.
        """
        seen: set[str] = set()

        def again(path: str) -> bool:
            known = path in seen
            seen.add(path)
            return known

        return self._remove(again)

    def _remove(self, unwanted: Callable[[str], bool]) -> int:
        """Remove rows by their paths; files without such a row are not touched."""
        removed = 0
        for path in self.parts():
            stale = [unwanted(each) for each in self._read(path, ["path"])["path"].to_pylist()]
            if not any(stale):
                continue
            removed += sum(stale)
            table = self._read(path).filter(package("pyarrow").array([not each for each in stale]))
            path.unlink() if not len(table) else self._write(path, table)
        return removed

    def write(self, name: str, rows: Sequence[dict[str, Any]]) -> Path:
        """Write one part, whole or not at all."""
        path = self.folder / name
        self._write(path, package("pyarrow").Table.from_pylist(list(rows), schema=schema()))
        return path

    def _write(self, path: Path, table: Any) -> None:
        with atomic_path(path) as temporary:
            package("pyarrow.parquet").write_table(table, temporary)

    def _read(self, path: Path, columns: list[str] | None = None) -> Any:
        try:
            return package("pyarrow.parquet").read_table(path, columns=columns)
        except (package("pyarrow").ArrowInvalid, OSError) as error:
            raise ScaleError(
                f"{path}: expected a Parquet file, got one that cannot be read; "
                "delete it, and its pictures are done again"
            ) from error

    def table(self) -> Any:
        """All rows as one `pyarrow.Table`, in the order of the paths."""
        pa = package("pyarrow")
        tables = [self._read(path) for path in self.parts()]
        return pa.concat_tables(tables).sort_by("path") if tables else schema().empty_table()
