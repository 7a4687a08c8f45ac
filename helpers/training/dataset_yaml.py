"""What describes a folder in YOLO form: its YAML file's names and splits, or the folder's own layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]

from helpers.training.dataset_entries import read_list, read_text, shown, split_of, unique_names
from helpers.training.flaws import DatasetError, Flaw

__all__ = ["class_names", "find_yaml", "line_of", "picture_places", "read_yaml"]

_KEYS = ("train", "val", "test")
_NAME_FILES = ("classes.txt", "labels/classes.txt", "obj.names")


def find_yaml(root: Path) -> Path | None:
    """The YAML file that describes a data set: `data.yaml`, else the one that names splits or classes.

    Raises:
        DatasetError: several do.
    """
    files = sorted(path for path in root.glob("[!.]*") if path.suffix in (".yaml", ".yml"))
    preferred = [path for path in files if path.stem == "data"]
    if preferred:
        return preferred[0]
    fitting = [path for path in files if _describes(path)]
    if len(fitting) > 1:
        found = ", ".join(path.name for path in fitting)
        raise DatasetError(f"{root}: expected one YAML file of a data set, got {found}; open one by its path")
    return fitting[0] if fitting else None


def _describes(path: Path) -> bool:
    """Whether a YAML file names splits or classes; one that cannot be read does not."""
    try:
        return bool({"train", "val", "names"} & read_yaml(path).keys())
    except DatasetError:
        return False


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a dictionary, read by the safe loader: a tag makes nothing but an error."""
    try:
        content = yaml.safe_load(read_text(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())[:300]
        raise DatasetError(f"{path}: expected YAML with train, val and names, got: {line}") from error
    return content if isinstance(content, dict) else {}


def class_names(
    root: Path, file: Path | None, content: dict[str, Any], given: Sequence[str] | None, flaws: list[Flaw]
) -> tuple[str, ...]:
    """Class names: the caller's, the YAML file's, a list beside the pictures, or as many as `nc` says."""
    if given is not None:
        return unique_names(given, "names")
    written, count = content.get("names"), content.get("nc")
    if isinstance(written, dict):
        if set(written) != set(range(len(written))):
            keys = ", ".join(map(shown, list(written)[:5]))
            raise DatasetError(f"{file}: names: expected the keys 0 to {len(written) - 1}, got {keys}")
        written = [written[key] for key in range(len(written))]
    if isinstance(written, list) and file:
        names = unique_names(written, f"{file}: names")
        if isinstance(count, int) and count != len(names):
            message = f"nc is {count}, but there are {len(names)} names"
            flaws.append(Flaw("class-count", file, message, line_of(file, "nc")))
        return names
    beside = next((root / name for name in _NAME_FILES if (root / name).is_file()), None)
    if beside:
        return unique_names([name for _, name in read_list(beside)], str(beside))
    if isinstance(count, int) and 0 < count <= 10_000:
        return tuple(f"class{index}" for index in range(count))
    raise DatasetError(f"{file or root}: expected class names, got none; give names=[...], or a classes.txt")


def picture_places(root: Path, content: dict[str, Any]) -> dict[str, list[str]]:
    """Folders or lists of each split, as the YAML file or the folder itself names them."""
    keyed = {key: content[key] for key in _KEYS if content.get(key)}
    if keyed:
        return {key: _paths(key, value) for key, value in keyed.items()}
    folders = [path for path in root.iterdir() if path.is_dir()]
    nested = [path for path in (root / "images").glob("*") if path.is_dir()]
    for paths in (folders, nested, root.glob("*.txt")):
        found: dict[str, list[str]] = {}
        for path in sorted(paths):
            if split := split_of(path.stem):
                place = path / "images" if (path / "images").is_dir() else path
                found.setdefault(split, []).append(place.relative_to(root).as_posix())
        if found:
            return found
    return {"train": ["images" if (root / "images").is_dir() else "."]}


def _paths(key: str, value: object) -> list[str]:
    """The paths of one key of the YAML file."""
    given = value if isinstance(value, list) else [value]
    paths = [path for path in given if isinstance(path, str)]
    if len(paths) != len(given):
        raise DatasetError(f"{key}: expected a folder, a list file, or several, got {shown(value)}")
    return paths


def line_of(path: Path, key: str) -> int | None:
    """The line of a key of a YAML file."""
    lines = read_text(path).splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.startswith(f"{key}:")), None)
