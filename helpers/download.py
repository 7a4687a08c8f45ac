"""Where a model's weights are: bundled, in a folder of yours, in the cache, or on the official release page."""

from __future__ import annotations

import os
from pathlib import Path

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
        progress: Show a bar while downloading.

    Raises:
        DownloadError: An unknown name, or a download that failed.

    Example:
        >>> find_checkpoint("yolov8n")
        Traceback (most recent call last):
        helpers.download.DownloadError: model: expected a file, blood-cells, or one of yolov7-tiny, yolov7, \
yolov7x, yolov7-w6, yolov7-e6, yolov7-d6, yolov7-e6e; got yolov8n
    """
    text = str(name)
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
    import requests

    file = f"{name}.pt"
    cache = Path(os.environ.get("YOLOV7_CACHE") or pooch.os_cache("yolov7-graph-surgery"))
    base = os.environ.get("YOLOV7_MIRROR", RELEASE)
    known = OFFICIAL[name]
    url = base.rstrip("/") + "/" + file
    if os.environ.get("YOLOV7_OFFLINE") and not (cache / file).is_file():
        raise DownloadError(f"{file} is not in {cache} and YOLOV7_OFFLINE is set. Fix: unset it, or put the file there")
    try:
        found = pooch.retrieve(
            url, f"sha256:{known}" if known else None, fname=file, path=cache,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=30),
        )  # fmt: skip
    except (requests.RequestException, OSError, ValueError) as error:
        raise DownloadError(
            f"{file} could not be fetched from {url} ({type(error).__name__}: {str(error)[:120]}). "
            f"Fix: download it elsewhere and set YOLOV7_WEIGHTS to its folder, or use the bundled model {BUNDLED}"
        ) from error
    return Path(found)
