"""Where a model's weights are: bundled, in a folder of yours, in the cache, or on the release page."""

from __future__ import annotations

import os
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED = "blood-cells"
RELEASE = "https://github.com/WongKinYiu/yolov7/releases/download/v0.1/"
# SHA-256 where it was measured; the others are checked by size and content when they are read.
OFFICIAL: dict[str, str | None] = {
    "yolov7-tiny": "0fa1423606133c06362ec716029dade1169d5631e83195b75d8efa66d2ee0b77",
    "yolov7": None,
    "yolov7x": None,
    "yolov7-w6": None,
    "yolov7-e6": None,
    "yolov7-d6": None,
    "yolov7-e6e": None,
}
_FIX = f"download it elsewhere and set YOLOV7_WEIGHTS to its folder, or use the bundled model {BUNDLED}"


class DownloadError(RuntimeError):
    """Weights are not at hand and could not be fetched; the message says what to do."""


def bundled_weights() -> Path:
    """The bundled model's file, in the repository's `data/` folder."""
    return Path(__file__).resolve().parent.parent / "data" / f"{BUNDLED}.safetensors"


def find_checkpoint(name: str | Path, *, progress: bool = True) -> Path:
    """The file of a model, by name or path; downloads an official one where needed.

    Official checkpoints are looked for in the folder `YOLOV7_WEIGHTS` first, then in the cache
    (`YOLOV7_CACHE`, by default the user's cache folder), then fetched.

    Args:
        name: `blood-cells`, an official name such as `yolov7-tiny`, or a path.
        progress: Show a bar while downloading, where there is a terminal.

    Raises:
        DownloadError: An unknown name, bundled weights that are missing, or a download that failed.

    Example:
        >>> find_checkpoint("yolov8n")
        Traceback (most recent call last):
        helpers.download.DownloadError: model: expected a file, blood-cells, or one of yolov7-tiny, yolov7, \
yolov7x, yolov7-w6, yolov7-e6, yolov7-d6, yolov7-e6e; got yolov8n
    """
    text = str(name)
    if text == BUNDLED and not bundled_weights().is_file():
        raise DownloadError(
            f"{BUNDLED}: {bundled_weights()} is missing. Fix: work in a clone of the repository"
        )
    if text == BUNDLED:
        return bundled_weights()
    if Path(text).is_file():
        return Path(text)
    if text not in OFFICIAL:
        raise DownloadError(f"model: expected a file, {BUNDLED}, or one of {', '.join(OFFICIAL)}; got {text}")
    folder = os.environ.get("YOLOV7_WEIGHTS")
    if folder and (path := Path(folder) / f"{text}.pt").is_file():
        return path
    return _fetch(text, progress)


def _fetch(name: str, progress: bool) -> Path:
    import pooch

    cache = Path(os.environ.get("YOLOV7_CACHE") or pooch.os_cache("yolov7-graph-surgery"))
    path, known = cache / f"{name}.pt", OFFICIAL[name]
    if path.is_file() and _is_whole(path, known):
        return path
    if os.environ.get("YOLOV7_OFFLINE"):
        raise DownloadError(
            f"{path.name} is not in {cache} and YOLOV7_OFFLINE is set. Fix: unset it, put the file there, or "
            f"use the bundled model {BUNDLED}"
        )
    url = f"{os.environ.get('YOLOV7_MIRROR', RELEASE).rstrip('/')}/{path.name}"
    with _partial(path) as partial:
        _download(url, partial, known, progress)
        if not _is_whole(partial, known):
            raise DownloadError(
                f"{url}: expected a checkpoint, got something else (an error page?). Fix: {_FIX}"
            )
        partial.replace(path)
    return path


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A name for the unfinished file, of this process alone, gone at the end."""
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _download(url: str, path: Path, known: str | None, progress: bool) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # its account of hashes and temporary names
    bar = progress and sys.stderr.isatty()
    try:
        pooch.retrieve(
            url, f"sha256:{known}" if known else None, fname=path.name, path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=bar, timeout=30),
        )  # fmt: skip
    except (requests.RequestException, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise DownloadError(f"{url} could not be fetched ({reason}). Fix: {_FIX}") from error


def _is_whole(path: Path, known: str | None) -> bool:
    """The pinned hash where there is one; otherwise a zip with an end: no page, no part of a file."""
    return sha256(path) == known if known else zipfile.is_zipfile(path)
