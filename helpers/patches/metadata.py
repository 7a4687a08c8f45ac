"""Say in the file what the file is: class names, stride, picture size, under the keys that Ultralytics reads.

Without them Ultralytics labels boxes `class0`, `class1`, ..., asks for torchvision, and fails on a list of
pictures. `args` with `nms: True` cures the last two: the graph holds its own NMS, so pictures go one by one.
Values are text; dictionaries and lists are Python literals, read with `ast.literal_eval`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from helpers.patches import PatchError, PatchResult, finish, graph_inputs, open_model, shape_of, unchanged

__all__ = ["COCO_NAMES", "read_metadata", "write_metadata"]

# The 80 classes of the official checkpoints, in their order.
COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,"
    "handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,"
    "skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,"
    "sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,"
    "dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
COCO_NAMES = tuple(COCO.split(","))
TEXTS = ("description", "author", "version", "license")
INTEGERS = ("stride", "batch", "channels")
LITERALS = ("imgsz", "names", "args")


def write_metadata(
    model: onnx.ModelProto,
    *,
    names: Sequence[str] | Mapping[int, str],
    stride: int,
    imgsz: tuple[int, int] | int | None = None,
    nms: bool = True,
    **texts: str,
) -> PatchResult:
    """Write a detector's metadata; batch, channels and `args["dynamic"]` follow from the input; others stay.

    Args:
        model: one input `[B, 3, H, W]`.
        names: the classes, in the order of their numbers.
        stride: the largest stride of the network, in pixels.
        imgsz: height and width of the input (one number for a square); `None` reads them from the model.
        nms: whether the graph holds its own NMS.
        **texts: any of `description`, `author`, `version`, `license`.

    Raises:
        PatchError: names empty or repeated, a size not the input's or no multiple of the stride.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     net (float[1, 3, 64, 96] images) => (float[1, 3, 64, 96] output) { output = Identity(images) }''')
    >>> read_metadata(write_metadata(model, names=["RBC", "WBC"], stride=32).model)["names"]
    {0: 'RBC', 1: 'WBC'}
    """
    patched = open_model(model)
    batch, channels, size = _picture(patched)
    entries = _checked_texts(texts) | {
        "stride": str(_checked_stride(stride)),
        "task": "detect",
        "batch": str(batch or 1),
        "imgsz": repr(_checked_size(imgsz, size, stride)),
        "names": repr(_checked_names(names)),
        "channels": str(channels),
        "args": repr({"nms": bool(nms), "dynamic": batch is None}),
    }
    old = _entries(patched)
    if old | entries == old:
        return unchanged(model, "metadata: the same already")
    onnx.helper.set_model_props(patched, old | entries)
    return finish(model, patched, [f"metadata: {', '.join(entries)}"])


def read_metadata(model: onnx.ModelProto) -> dict[str, Any]:
    """The metadata of a model, each value in its own type: what Ultralytics would see.

    Raises:
        PatchError: a value that is not what its key promises.

    >>> read_metadata(onnx.ModelProto())
    {}
    """
    found: dict[str, Any] = dict(_entries(model))
    for key in found.keys() & {*INTEGERS, *LITERALS}:
        try:
            found[key] = int(found[key]) if key in INTEGERS else ast.literal_eval(found[key])
        except (ValueError, SyntaxError) as error:
            fix = "write it again with write_metadata"
            raise PatchError(f"metadata[{key!r}]", "a Python literal", repr(found[key]), fix) from error
    return found


def _entries(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _picture(model: onnx.ModelProto) -> tuple[int | None, int, list[int | None]]:
    """Batch (`None`: dynamic), channels, and `[height, width]` of the input."""
    shapes = {value.name: shape_of(value) for value in graph_inputs(model)}
    shape = next(iter(shapes.values()), None)
    if len(shapes) != 1 or shape is None or len(shape) != 4 or not isinstance(shape[1], int):
        raise PatchError("model", "one input [B, channels, H, W]", shapes, "hand in a detector's graph")
    batch, height, width = (number if isinstance(number, int) else None for number in (shape[0], *shape[2:]))
    return batch, shape[1], [height, width]


def _checked_texts(texts: dict[str, str]) -> dict[str, str]:
    if not (texts.keys() <= set(TEXTS) and all(isinstance(text, str) for text in texts.values())):
        raise PatchError(
            "texts", f"text under {', '.join(TEXTS)}", texts, "Ultralytics would trip over other keys"
        )
    return {key: texts[key] for key in TEXTS if key in texts}


def _checked_stride(stride: int) -> int:
    if type(stride) is not int or stride < 1:
        raise PatchError("stride", "a whole number from 1", repr(stride), "32, or 64 for the P6 models")
    return stride


def _checked_size(imgsz: object, found: list[int | None], stride: int) -> list[int]:
    asked = [imgsz, imgsz] if isinstance(imgsz, int) else found if imgsz is None else imgsz
    sizes = list(asked) if isinstance(asked, list | tuple) else []
    agrees = all(
        type(size) is int and size > 0 and size % stride == 0 and real in (None, size)
        for size, real in zip(sizes, found, strict=False)
    )
    if len(sizes) != 2 or not agrees:
        fix = "leave it out where the input's size is fixed"
        raise PatchError("imgsz", f"(height, width), multiples of {stride}, the input's {found}", asked, fix)
    return sizes


def _checked_names(names: Sequence[str] | Mapping[int, str]) -> dict[int, str]:
    table = dict(names) if isinstance(names, Mapping) else dict(enumerate(names))
    texts = {text for text in table.values() if isinstance(text, str) and text.strip()}
    if isinstance(names, str) or not texts or len(texts) < len(table) or set(table) != set(range(len(table))):
        raise PatchError(
            "names", "a distinct name for each class from 0", names, "pass other names (--names)"
        )
    return dict(sorted(table.items()))
