"""What to make of a checkpoint, and what the files are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Files", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is converted.

    Attributes:
        size_wh: Input width and height in pixels, multiples of the largest stride.
        iou_threshold: Of two boxes of one class that overlap more than this, the weaker one goes.
        score_threshold: Boxes that score no more than this are dropped.
        max_detections: At most this many boxes a picture; also the slots of the padded output.
        class_offset: Pixels between classes in the NMS; `None` is safe for boxes beyond the picture, 640 is
            what the official exporter's guide uses.
        dynamic_batch: Leave the batch of raw and end-to-end graph open.
        half: Also make the last graph's FP16 form.
        batched: Also make the graph for any number of pictures at once.
        picture: Also make the graph that takes a raw picture.
        int8: Also make the last graph's INT8 form, for CPUs.
        pictures: Folder of pictures that INT8 is calibrated on, where the model's own will not do.
    """

    size_wh: tuple[int, int] = (640, 640)
    iou_threshold: float = 0.65
    score_threshold: float = 0.35
    max_detections: int = 100
    class_offset: float | None = None
    dynamic_batch: bool = False
    half: bool = False
    batched: bool = False
    picture: bool = False
    int8: bool = False
    pictures: Path | None = None


@dataclass(frozen=True)
class Files:
    """Where the files of one model lie.

    Example:
        >>> Files.of(Path("runs/best.pt")).ultralytics.as_posix()
        'build/best/best-ultralytics.onnx'
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, checkpoint: str | Path, build: str | Path = "build") -> Files:
        """The files of a checkpoint, by its name."""
        name = Path(checkpoint).stem
        return cls(Path(build) / name, name)

    @property
    def raw(self) -> Path:
        """`images[B,3,H,W]` to `output[B,N,5+C]`."""
        return self.folder / f"{self.name}.onnx"

    @property
    def end2end(self) -> Path:
        """With NMS: `[M,7]`."""
        return self.folder / f"{self.name}-end2end.onnx"

    @property
    def ultralytics(self) -> Path:
        """After the surgery: `[1,100,6]`, filtered before the decode."""
        return self.folder / f"{self.name}-ultralytics.onnx"

    @property
    def batched(self) -> Path:
        """The same for any number of pictures: `[B,100,6]`."""
        return self.folder / f"{self.name}-batched.onnx"

    @property
    def fp16(self) -> Path:
        """For engines: `[1,100,6]` with the network in half precision and fixed shapes up to the NMS."""
        return self.folder / f"{self.name}-fp16.onnx"

    @property
    def int8(self) -> Path:
        """For CPUs: `[1,100,6]` with Q/DQ nodes in the network."""
        return self.folder / f"{self.name}-int8.onnx"

    @property
    def picture(self) -> Path:
        """A raw picture `uint8[height,width,3]` to boxes in its own pixels, `[1,100,6]`."""
        return self.folder / f"{self.name}-picture.onnx"

    def made_by(self, recipe: Recipe) -> list[Path]:
        """The files that a recipe asks for, in the order in which they are made."""
        more = {self.batched: recipe.batched, self.picture: recipe.picture, self.fp16: recipe.half}
        more[self.int8] = recipe.int8
        return [self.raw, self.end2end, self.ultralytics, *(path for path, wanted in more.items() if wanted)]
