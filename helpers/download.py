"""Where a model's weights are: bundled, in a folder of yours, in the cache, or on the release page.

Settings, all from the environment: `YOLOV7_WEIGHTS`, a folder to look in first; `YOLOV7_CACHE`, where
downloads are kept; `YOLOV7_MIRROR`, an address instead of the release page; `YOLOV7_OFFLINE`, never ask the
network. The proxy is the one that `HTTPS_PROXY` names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from helpers.artifacts import atomic_path
from helpers.fetch import DownloadError, Pin, digest, fetch

__all__ = ["BUNDLED", "OFFICIAL", "RELEASE", "DownloadError", "Pin", "bundled_weights", "find_checkpoint"]

BUNDLED = "blood-cells"
RELEASE = "https://github.com/WongKinYiu/yolov7/releases/download/v0.1/"
# Size and SHA-256 where they were measured; those of the others are recorded when they are first seen.
OFFICIAL: dict[str, Pin] = {
    "yolov7-tiny": Pin(12_639_769, "0fa1423606133c06362ec716029dade1169d5631e83195b75d8efa66d2ee0b77"),
    "yolov7": Pin(),
    "yolov7x": Pin(),
    "yolov7-w6": Pin(),
    "yolov7-e6": Pin(),
    "yolov7-d6": Pin(),
    "yolov7-e6e": Pin(),
}
RECORDS = "records.json"


def bundled_weights() -> Path:
    """The bundled model's file, in the repository's `data/` folder."""
    return Path(__file__).resolve().parent.parent / "data" / f"{BUNDLED}.safetensors"


def find_checkpoint(name: str | Path, *, progress: bool = True) -> Path:
    """The file of a model, by name or path; downloads an official one where needed.

    Official checkpoints are looked for in the folder `YOLOV7_WEIGHTS` first, then in the cache
    (`YOLOV7_CACHE`, by default the user's cache folder), then fetched. A file of the cache is held to its
    size and hash each time: the pinned ones, or those it had when it was first seen.

    Args:
        name: `blood-cells`, an official name such as `yolov7-tiny`, or a path.
        progress: Show a bar while downloading, where there is a terminal or a notebook.

    Raises:
        DownloadError: An unknown name, bundled weights that are missing, or a download that failed.

    Example:
        >>> find_checkpoint("yolov8n")
        Traceback (most recent call last):
        helpers.fetch.DownloadError: model: expected a file, blood-cells, or one of yolov7-tiny, yolov7, \
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
    return _cached(text, progress)


def _cached(name: str, progress: bool) -> Path:
    """The file in the cache, fetched where it is missing or damaged."""
    import platformdirs
    from filelock import FileLock

    cache = Path(os.environ.get("YOLOV7_CACHE") or platformdirs.user_cache_dir("yolov7-graph-surgery"))
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{name}.pt"
    with FileLock(cache / f".{name}.lock"):  # another process may be at it
        pin = OFFICIAL[name] if OFFICIAL[name].sha256 else _recorded(cache, path.name)
        if not (path.is_file() and pin.matches(path)):
            _fetch(path, pin, progress)
        if not pin.sha256:
            _record(cache, path)
    return path


def _fetch(path: Path, pin: Pin, progress: bool) -> None:
    if os.environ.get("YOLOV7_OFFLINE"):
        raise DownloadError(
            f"{path.name} is not in {path.parent} and YOLOV7_OFFLINE is set. Fix: unset it, put the file "
            f"there, or use the bundled model {BUNDLED}"
        )
    url = f"{os.environ.get('YOLOV7_MIRROR', RELEASE).rstrip('/')}/{path.name}"
    try:
        fetch(url, path, pin, progress=progress)
    except DownloadError as error:
        if not pin.sha256 or OFFICIAL[path.stem].sha256 or "expected" not in str(error):
            raise
        records = path.parent / RECORDS
        raise DownloadError(f"{error} (if the release has changed, delete its entry in {records})") from error


def _records(cache: Path) -> dict[str, dict[str, object]]:
    path = cache / RECORDS
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise DownloadError(f"{path}: cannot be read ({error}). Fix: delete it") from error


def _recorded(cache: Path, name: str) -> Pin:
    """What a file was when it was first seen; nothing, the first time."""
    match _records(cache).get(name):
        case {"bytes": int(size), "sha256": str(sha256)}:
            return Pin(size, sha256)
        case None:
            return Pin()
    raise DownloadError(f"{cache / RECORDS}: the entry {name} is damaged. Fix: delete the file")


def _record(cache: Path, path: Path) -> None:
    records = _records(cache) | {path.name: {"bytes": path.stat().st_size, "sha256": digest(path)}}
    with atomic_path(cache / RECORDS) as temporary:
        temporary.write_text(json.dumps(records, indent=2, sort_keys=True) + "\n", encoding="utf-8")
