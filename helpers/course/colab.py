"""The one cell that only does something on Colab, and the address of the repository it clones."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from helpers.course.place import repository

__all__ = ["badge", "colab_cell", "repository_address", "restamp"]

PLACEHOLDER_OWNER = "OWNER"
_ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+?(?=(?:\.git)?(?:[\s\"')\]#/]|$))")
_COLAB = "https://colab.research.google.com/github"


def repository_address(root: Path | None = None) -> str:
    """The repository's address: `[project.urls] Repository` in `pyproject.toml`."""
    text = ((root or repository()) / "pyproject.toml").read_text(encoding="utf-8")
    address: str = tomllib.loads(text)["project"]["urls"]["Repository"]
    return address.rstrip("/").removesuffix(".git")


def badge(notebook: str, address: str) -> str:
    """Markdown of a Colab badge.

    >>> badge("notebooks/02_export.ipynb", "https://github.com/me/course")
    '[Open in Colab](https://colab.research.google.com/github/me/course/blob/main/notebooks/02_export.ipynb)'
    """
    return f"[Open in Colab]({_COLAB}/{'/'.join(address.split('/')[-2:])}/blob/main/{notebook})"


def colab_cell(address: str) -> str:
    """Source of the Colab cell; everywhere else it does nothing.

    Only what is missing is installed, so that the packages Colab brings stay, and no restart is needed.
    """
    return f"""# On Colab: fetch the course and install what is missing. Anywhere else this cell does nothing.
import sys

if "google.colab" in sys.modules:
    import os
    import site
    import subprocess
    import sysconfig

    folder = os.environ.get("COURSE_FOLDER", "/content/{address.rsplit("/", 1)[-1]}")
    if not os.path.isdir(folder):
        source = os.environ.get("COURSE_SOURCE", "{address}")
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", source, folder], check=True)
    subprocess.run([sys.executable, f"{{folder}}/bootstrap.py", "colab"], check=True)
    site.addsitedir(sysconfig.get_path("purelib"))  # so that this running kernel sees what was installed
    os.chdir(f"{{folder}}/notebooks")"""


def restamp(root: Path | None = None) -> list[Path]:
    """Write the repository's address into README, contributing notes and lessons; returns the changed files.

    Every address in these files that ends in this repository's name, or in the placeholder's, is ours.
    """
    root = root or repository()
    address = repository_address(root)
    owner, name = address.split("/")[-2:]
    changed = []
    for path in _stamped_files(root):
        old = path.read_text(encoding="utf-8")
        new = _replace(old, address, owner, name)
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def _stamped_files(root: Path) -> Iterable[Path]:
    yield from (
        path
        for path in (root / "README.md", root / "README.zh-CN.md", root / "CONTRIBUTING.md")
        if path.is_file()
    )
    for pattern in ("notebooks/*.ipynb", "notebooks/*/*.ipynb", "notebooks/text/**/*.py"):
        yield from sorted(root.glob(pattern))


def _replace(text: str, address: str, owner: str, name: str) -> str:
    def ours(match: re.Match[str]) -> str:
        found = match.group(0)
        return address if found.rsplit("/", 1)[-1] in (name, "yolov7-graph-surgery") else found

    text = _ADDRESS.sub(ours, text)
    pattern = rf"{re.escape(_COLAB)}/[\w.-]+/(?:{re.escape(name)}|yolov7-graph-surgery)(?=/)"
    text = re.sub(pattern, f"{_COLAB}/{owner}/{name}", text)
    text = re.sub(r"(/content/)(?:yolov7-graph-surgery)(?=\\?\")", rf"\g<1>{name}", text)
    return re.sub(r"(?m)^(cd )yolov7-graph-surgery$", rf"\g<1>{name}", text)
