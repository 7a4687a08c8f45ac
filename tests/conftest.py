"""Fixtures for every test: ../shared where it is within reach, and a clean environment."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("YOLO_AUTOINSTALL", "False")  # Ultralytics must not install anything by itself
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.pop("YOLOV7_LANGUAGE", None)  # what a maintainer reads in is no test's business


def shared_folder() -> Path | None:
    """`../shared`, or what `YOLOV7_SHARED` names; None where there is none."""
    named = os.environ.get("YOLOV7_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    return folder if (folder / "fixtures").is_dir() else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of fixtures and photographs beside the repository."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs ../shared")
    return folder


@pytest.fixture(scope="session")
def fixtures(shared: Path) -> Path:
    """Checkpoints in the official form, and what the official code computes from them."""
    return shared / "fixtures"


@pytest.fixture(scope="session")
def bccd(shared: Path) -> Path:
    """The photographs of blood smears."""
    folder = shared / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/bccd")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator that gives the same numbers in every run."""
    return np.random.default_rng(7)


@pytest.fixture
def small():
    """A fresh graph of six nodes, as a model."""
    import onnx
    from small_graph import SMALL

    return onnx.parser.parse_model(SMALL)


@pytest.fixture
def marked():
    """Another language, in which every text that is looked up stands in brackets."""
    from helpers import wording

    wording.set_translator(lambda text, label: f"«{text}»")
    yield
    wording.set_translator(None)
