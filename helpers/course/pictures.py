"""Pictures for the lessons: drawn smears, photographs where there are some, Ultralytics' own bus."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.course.place import is_checked, repository, say
from helpers.download import OFFICIAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from helpers.training.datasets import Sample

__all__ = ["NamedPicture", "bus", "drawn", "photograph_folder", "photographs", "pictures_for"]


@dataclass(frozen=True)
class NamedPicture:
    """A picture with a name; drawn ones and labelled photographs know their boxes, too.

    Attributes:
        name: What to call it.
        image_bgr: `uint8[H, W, 3]`.
        truth: Labelled boxes, where they are known.
    """

    name: str
    image_bgr: NDArray[np.uint8]
    truth: Sample | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image_bgr.shape[1], self.image_bgr.shape[0]


def drawn(
    count: int = 4, *, first_seed: int = 9000, size_wh: tuple[int, int] = (640, 480)
) -> list[NamedPicture]:
    """Drawn blood smears with their boxes; the same seeds give the same pictures.

    Seeds from 9000 on are the course's: training draws lower ones.

    >>> [(picture.name, picture.size_wh) for picture in drawn(2, size_wh=(64, 48))]
    [('smear-9000', (64, 48)), ('smear-9001', (64, 48))]
    """
    from helpers.training.smears import draw_smear

    samples = ((seed, draw_smear(seed, size_wh)) for seed in range(first_seed, first_seed + count))
    return [NamedPicture(f"smear-{seed}", sample.image_bgr, sample) for seed, sample in samples]


def photograph_folder() -> Path | None:
    """The BCCD photographs: what `YOLOV7_BCCD` names, or `../shared/data/bccd`; None where there are none.

    While outputs are checked or committed there are none: they must not depend on what a machine has.
    """
    if is_checked():
        return None
    folder = Path(os.environ.get("YOLOV7_BCCD") or repository().parent / "shared" / "data" / "bccd")
    return folder if folder.is_dir() else None


def photographs(count: int = 4) -> list[NamedPicture]:
    """Photographs of blood smears that the bundled model never saw; says so where there are none."""
    from helpers.training.datasets import read_voc

    folder = photograph_folder()
    if folder is None:
        say("not run: no photographs here; set YOLOV7_BCCD to a folder of the BCCD data set")
        return []
    samples = ((item.path.stem, item.load()) for item in read_voc(folder, "val.txt")[:count])
    return [NamedPicture(name, sample.image_bgr, sample) for name, sample in samples]


def bus() -> NamedPicture | None:
    """Ultralytics' own example, `bus.jpg`; None where Ultralytics is not installed."""
    from importlib.util import find_spec

    from helpers.images import load_image

    spec = find_spec("ultralytics")
    path = Path(spec.origin or "").parent / "assets" / "bus.jpg" if spec else Path()
    return NamedPicture("bus", load_image(path)) if path.is_file() else None


def pictures_for(model: str, count: int = 4) -> list[NamedPicture]:
    """Pictures that suit a model: the bus for official ones where it is at hand, else drawn smears.

    >>> len(pictures_for("blood-cells", 1))
    1
    """
    picture = bus() if model in OFFICIAL else None
    return [picture] if picture else drawn(count)
