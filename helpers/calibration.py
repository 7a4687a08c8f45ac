"""Pictures that INT8 is calibrated on: a folder of yours, or what suits a model whose pictures we know.

Calibration wants what the detector will see, and no labels. It must never see the pictures that the result is
judged by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.images import load_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["calibration_pictures", "pictures_digest"]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")
MOST, DRAWN, FIRST_SEED = 8, 4, 8000  # training draws other seeds


def calibration_pictures(
    names: Sequence[str] | Mapping[int, str], folder: str | Path | None = None
) -> tuple[list[NDArray[np.uint8]], str]:
    """Pictures for a model, `uint8[H,W,3]` in BGR, and a line that says which.

    Args:
        names: The model's class names, or a file's, which are under their numbers.
        folder: Pictures of yours, eight of which are taken, evenly over the sorted names; those of
            `train.txt` where the folder is laid out like BCCD. Where missing: drawn smears for blood cells,
            Ultralytics' example pictures for COCO's classes.

    Raises:
        ValueError: No pictures in the folder, or none that suit the model.

    >>> pictures, line = calibration_pictures(("RBC", "WBC", "Platelets"))
    >>> pictures[0].shape[2], line.split()[1]
    (3, 'drawn')
    """
    from helpers.patches.metadata import COCO_NAMES
    from helpers.training.samples import CELL_NAMES

    known = tuple(names.values() if isinstance(names, Mapping) else names)
    cells = known == CELL_NAMES
    root = Path(folder) if folder else None
    if root is None and cells:
        from helpers.training.smears import draw_smear

        smears = [draw_smear(FIRST_SEED + number).image_bgr for number in range(DRAWN)]
        return smears, f"{DRAWN} drawn smears"
    if root is None and known == COCO_NAMES:
        spec = find_spec("ultralytics")
        root = Path(spec.origin or "").parent / "assets" if spec else None
    if root is None:
        raise ValueError(
            "pictures: expected a folder of what the detector will see, got none; fix: name one (--pictures)"
        )
    paths = _chosen(root)
    return [load_image(path) for path in paths], f"{len(paths)} pictures of {root.name}"


def pictures_digest(folder: str | Path) -> str:
    """Eight hexadecimal digits that change when the pictures that a folder gives for calibration do.

    Raises:
        ValueError: No pictures in the folder.
    """
    digest = hashlib.sha256()
    for path in _chosen(Path(folder)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:8]


def _chosen(root: Path) -> list[Path]:
    """Eight pictures of a folder, evenly over the sorted names."""
    listed = root / "train.txt"
    if listed.is_file() and (root / "JPEGImages").is_dir():
        stems = listed.read_text("utf-8").split()
        paths = [root / "JPEGImages" / f"{stem.removesuffix('.jpg')}.jpg" for stem in sorted(stems)]
    else:
        paths = sorted(p for p in root.iterdir() if p.suffix.lower() in ENDINGS) if root.is_dir() else []
    if not paths:
        raise ValueError(f"pictures: expected a folder with pictures, got {root}; fix: check the path")
    return paths[:: max(1, len(paths) // MOST)][:MOST]
