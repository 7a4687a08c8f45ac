"""What a finished graph wants to be fed: read from its declared inputs, and made from pictures.

| inputs | form |
|---|---|
| `images` float `[B, 3, H, W]` | letterboxed, RGB, 0 to 1: all of it is done here |
| `pictures` uint8 `[B, H, W, 3]` | letterboxed here; colours and types in the graph |
| `picture` uint8 `[height, width, 3]` | the picture as it is; everything in the graph |

Each may have `picture_wh` int64 `[B, 2]` beside it, for a graph that maps boxes back itself; those are called
`picture_boxes`. The last two forms, and the mapping, are made by `helpers.patches.preprocess`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.images import Letterbox, check_image, letterbox, place, to_tensor
from helpers.session import DetectorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnxruntime
    from numpy.typing import NDArray

__all__ = ["Feed"]

IMAGES, PICTURES, PICTURE = "images", "pictures", "picture"
PICTURE_WH, PICTURE_BOXES = "picture_wh", "picture_boxes"
FLOATS: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Feed:
    """The inputs of one graph.

    Attributes:
        form: the name of the input for pictures: `images`, `pictures` or `picture`.
        size_wh: width and height of the network's input, pixels.
        batch: pictures per run; None where that is free.
        sizes: the graph also asks for `picture_wh`.
        mapped: boxes come out in the picture's own pixels.
        dtype: of `images`.
    """

    form: str
    size_wh: tuple[int, int]
    batch: int | None
    sizes: bool = False
    mapped: bool = False
    dtype: type[np.floating[Any]] = np.float32

    @classmethod
    def of(cls, session: onnxruntime.InferenceSession, metadata: Mapping[str, Any], label: str) -> Feed:
        """Read what a session declares.

        Raises:
            DetectorError: inputs that no finished detector has, or no size is known.
        """
        ports = {port.name: port for port in session.get_inputs()}
        said = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports.values())
        sizes = ports.pop(PICTURE_WH, None) is not None
        form, port = next(iter(ports.items())) if len(ports) == 1 else ("", None)
        shape = list(port.shape) if port else []
        kind = port.type if port else ""
        layouts = {
            IMAGES: (kind in FLOATS and len(shape) == 4 and shape[1] == 3, shape[2:]),
            PICTURES: (kind == "tensor(uint8)" and len(shape) == 4 and shape[3] == 3, shape[1:3]),
            PICTURE: (kind == "tensor(uint8)" and len(shape) == 3 and shape[2] == 3, ["height", "width"]),
        }
        fits, hw = layouts.get(form, (False, []))
        if not fits:
            raise DetectorError(
                f"{label}: expected one input, images tensor(float) [B, 3, H, W] (or picture tensor(uint8) "
                f"[height, width, 3]), got {said}; make it of a checkpoint: python -m helpers convert"
            )
        height, width = (
            side if isinstance(side, int) else _imgsz(metadata, axis, label) for axis, side in enumerate(hw)
        )
        batch = 1 if form == PICTURE else shape[0] if isinstance(shape[0], int) else None
        mapped = [port.name for port in session.get_outputs()] == [PICTURE_BOXES]
        return cls(form, (width, height), batch, sizes, mapped, FLOATS.get(kind, np.float32))

    def __call__(
        self, images_bgr: Sequence[NDArray[np.uint8]]
    ) -> tuple[dict[str, NDArray[Any]], list[Letterbox]]:
        """What to run the graph with, and how each picture lies in the network's input.

        Args:
            images_bgr: pictures, at most `batch`; missing ones are filled up with black.
        """
        if self.form == PICTURE:
            return {PICTURE: check_image(images_bgr[0])}, [self._placed(images_bgr[0])]
        boxed = [letterbox(image_bgr, self.size_wh) for image_bgr in images_bgr]
        count = self.batch or len(boxed)
        feed: dict[str, NDArray[Any]] = {self.form: self._stack(boxed, count)}
        if self.sizes:
            rows = [box.picture_wh for box in boxed] + [self.size_wh] * (count - len(boxed))
            feed[PICTURE_WH] = np.array(rows, np.int64)
        return feed, boxed

    def _stack(self, boxed: Sequence[Letterbox], count: int) -> NDArray[Any]:
        width, height = self.size_wh
        if self.form == PICTURES:
            pictures = np.zeros((count, height, width, 3), np.uint8)
            for index, box in enumerate(boxed):
                pictures[index] = box.image_bgr
            return pictures
        images_nchw = np.empty((count, 3, height, width), np.float32)
        images_nchw[len(boxed) :] = 0
        for index, box in enumerate(boxed):
            to_tensor(box.image_bgr, out=images_nchw[index : index + 1])
        return images_nchw.astype(self.dtype, copy=False)

    def _placed(self, image_bgr: NDArray[np.uint8]) -> Letterbox:
        """Where a picture lies that the graph itself letterboxes: no pixel is made here."""
        height, width = image_bgr.shape[:2]
        content_wh, pad_xy = place((width, height), self.size_wh)
        grey = np.broadcast_to(np.uint8(114), (self.size_wh[1], self.size_wh[0], 3))
        return Letterbox(grey, (width, height), content_wh, pad_xy)


def _imgsz(metadata: Mapping[str, Any], axis: int, label: str) -> int:
    imgsz = metadata.get("imgsz")
    if not isinstance(imgsz, list | tuple) or len(imgsz) != 2:
        raise DetectorError(f"{label}: its input has no fixed size and its metadata no imgsz [height, width]")
    return int(imgsz[axis])
