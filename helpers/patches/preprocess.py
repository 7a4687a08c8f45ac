"""The picture into the graph: letterbox and colours before the network, boxes in the picture's pixels after.

Three parts, each a patch of its own. They touch nothing but the graph's two ends, so any network will do:
FP32, FP16 or INT8, with its candidates filtered or not.

- `add_letterbox`: `picture` `uint8[H, W, 3]`, BGR, any size, becomes the network's `images`.
- `add_box_mapping`: boxes `[B, S, 6]` in input pixels become boxes in the picture's own, clipped to it.
- `add_conversion`: `pictures` `uint8[B, H, W, 3]`, BGR, of the network's size: colours and types alone.

`add_picture` is the first two together: a raw picture in, finished boxes out. Sizes are rounded in integers,
so the letterbox has the size and place of `helpers.images.letterbox`, whatever the picture's; its pixels are
whole grey levels, OpenCV's own (see `preprocess_resize`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from helpers.patches import (
    PatchError,
    PatchResult,
    Shape,
    finish,
    graph_inputs,
    open_model,
    shape_of,
    single_output,
    splice,
    unchanged,
)
from helpers.patches import preprocess_nodes as nodes
from helpers.patches.preprocess_resize import add_resize

if TYPE_CHECKING:
    from helpers.patches import Source

    Sources = dict[str, Source]

__all__ = ["add_box_mapping", "add_conversion", "add_letterbox", "add_picture"]

PICTURE, PICTURES, PICTURE_WH, PICTURE_BOXES = "picture", "pictures", "picture_wh", "picture_boxes"
GREY, WHITE, EDGE = np.array(114, np.float32), np.array(255, np.float32), np.zeros(1, np.float32)
CONTENT, BEFORE, SIZE_WH = "fit/content_wh", "fit/before_wh", "fit/size_wh"
FRESH = "start from the graph as `python -m helpers patch` makes it, in a fixed size"


def add_picture(model: onnx.ModelProto, *, exact: bool = True) -> PatchResult:
    """Letterbox, colours and the way back in the graph: a raw picture in, boxes in its own pixels out.

    Args:
        model: a finished detector for one picture, `images` `[1, 3, H, W]` to rows `[1, S, 6]`.
        exact: scale as OpenCV does, to the last bit. `False` takes ONNX's `Resize`: faster, one node, and the
            same where a whole number of pixels becomes one; elsewhere up to one grey level off.

    Returns:
        The model with input `picture` `uint8[height, width, 3]` and output `picture_boxes` `[1, S, 6]`.

    Raises:
        PatchError: not such a graph.

    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17],
    ...     metadata_props: ["args": "{'nms': True}"]>
    ...     net (float[1, 3, 2, 6] images) => (float[1, 3, 6] output0)
    ...     { output0 = ReduceMax <axes = [2], keepdims = 0> (images) }''')
    >>> patched = add_picture(model).model
    >>> [(value.name, shape_of(value)) for value in (*patched.graph.input, *patched.graph.output)]
    [('picture', ('height', 'width', 3)), ('picture_boxes', (1, 3, 6))]
    """
    _require_rows(open_model(model))
    letterboxed = add_letterbox(model, exact=exact)
    mapped = add_box_mapping(letterboxed.model)
    done = [result for result in (letterboxed, mapped) if result.changed]
    if not done:
        return unchanged(model, "the picture is in the graph already")
    return PatchResult(mapped.model, changed=True, report=tuple(line for r in done for line in r.report))


def add_letterbox(model: onnx.ModelProto, *, exact: bool = True) -> PatchResult:
    """The first half: pictures of any size go in as they are. What comes out stays as it was.

    Args:
        model: a graph with `images` `[1, 3, H, W]`.
        exact: as in `add_picture`.

    Returns:
        The model with input `picture` `uint8[height, width, 3]`, BGR; a symbolic batch is 1 now.

    Raises:
        PatchError: no input `[1, 3, H, W]` of fixed size in float, or another patch of this module is in it.
    """
    patched = open_model(model)
    inputs = {value.name for value in graph_inputs(patched)}
    if PICTURE in inputs:
        return unchanged(model, f"{PICTURE}: letterboxed in the graph already")
    if PICTURE_WH in inputs:
        fix = "start from the graph before it: first the letterbox, then the boxes; add_picture does both"
        raise PatchError("model", "a graph without box mapping", f"an input {PICTURE_WH}", fix)
    images, shape = _images(patched)
    if shape[0] not in (None, 1) and not isinstance(shape[0], str):
        raise PatchError("model", "one picture at a time", _said(images), "take the graph for a batch of 1")
    before = len(patched.graph.node)
    splice(patched, nodes.measure, {"picture": PICTURE}, "measure", PICTURE_WH)
    _add_fit(patched, _size(patched))
    content = add_resize(patched, "measure/pixels", PICTURE_WH, CONTENT, exact=exact)
    place: Sources = {"content": content, "content_wh": CONTENT, "before_wh": BEFORE}
    place |= {"size_wh": SIZE_WH, "none": np.array([0, 0]), "grey": GREY}
    splice(patched, nodes.pad, place, "pad", "pad/padded")
    _add_colours(patched, "pad/padded", images)
    _fix_batch(patched, shape[0])
    report = _replace_input(patched, images, PICTURE, ("height", "width", 3), "letterboxed in the graph")
    return _finished(model, patched, before, report)


def add_box_mapping(model: onnx.ModelProto) -> PatchResult:
    """The second half: boxes in the picture's own pixels, clipped to it. Scores and classes stay.

    Returns:
        The model with output `picture_boxes`; where the letterbox is not in the graph, it has one more input,
        `picture_wh` `int64[B, 2]`: width and height of each picture before its letterbox.

    Raises:
        PatchError: the output is not finished rows `[B, S, 6]`, or the network's size is not fixed.
    """
    patched = open_model(model)
    output, shape = _require_rows(patched)
    if output == PICTURE_BOXES:
        return unchanged(model, f"{PICTURE_BOXES}: in the picture's pixels already")
    report = []
    if all(node.output[0] != PICTURE_WH for node in patched.graph.node):
        batch = shape[0] if shape[0] is not None else "batch"
        patched.graph.input.append(helper.make_tensor_value_info(PICTURE_WH, TensorProto.INT64, [batch, 2]))
        report.append(f"new input {PICTURE_WH} int64[{batch}, 2]: width and height of each picture")
        _add_fit(patched, _size(patched))
    sources: Sources = {"rows": output, "picture_wh": PICTURE_WH, "content_wh": CONTENT, "before_wh": BEFORE}
    splice(patched, nodes.to_picture, sources | {"edge": EDGE}, "boxes", PICTURE_BOXES)
    patched.graph.output[0].CopyFrom(helper.make_tensor_value_info(PICTURE_BOXES, TensorProto.FLOAT, shape))
    shown = str(list(shape)).replace("'", "")
    report.append(f"{output} -> {PICTURE_BOXES} {shown}: corners in the picture's own pixels")
    _note(patched, boxes="in the picture's own pixels, clipped to it")
    return finish(model, patched, report)


def add_conversion(model: onnx.ModelProto) -> PatchResult:
    """Colours and types alone: pictures of the network's size in bytes, as DeepStream and Triton have them.

    Returns:
        The model with input `pictures` `uint8[B, H, W, 3]`, BGR, the batch as it was.

    Raises:
        PatchError: no input `[B, 3, H, W]` in float, or the letterbox is in the graph.
    """
    patched = open_model(model)
    if any(value.name == PICTURES for value in graph_inputs(patched)):
        return unchanged(model, f"{PICTURES}: converted in the graph already")
    images, shape = _images(patched)
    before = len(patched.graph.node)
    splice(patched, nodes.planes, {"pictures": PICTURES}, "planes", "planes/nchw")
    _add_colours(patched, "planes/nchw", images)
    report = _replace_input(patched, images, PICTURES, (shape[0], *shape[2:], 3), "converted in the graph")
    return _finished(model, patched, before, report)


def _images(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, Shape]:
    """The network's input `[B, 3, H, W]` in float."""
    others = [value for value in graph_inputs(model) if value.name != PICTURE_WH]
    shape = shape_of(others[0]) if len(others) == 1 else None
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16)
    if shape is None or others[0].type.tensor_type.elem_type not in kinds or len(shape) != 4 or shape[1] != 3:
        got = ", ".join(map(_said, others)) or "none"
        raise PatchError("model", "one float input [B, 3, H, W]", got, FRESH)
    return others[0], shape


def _said(value: onnx.ValueInfoProto) -> str:
    kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    return f"{value.name} {kind}{list(shape_of(value) or ['?'])}".replace("'", "")


def _size(model: onnx.ModelProto) -> tuple[int, int]:
    """Width and height of the network's input."""
    pictures = next((value for value in graph_inputs(model) if value.name == PICTURES), None)
    value, shape = (pictures, (shape_of(pictures) or ())[1:3]) if pictures else _images(model)
    height, width = shape[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        raise PatchError("model", "an input of fixed height and width", _said(value), FRESH)
    return width, height


def _require_rows(model: onnx.ModelProto) -> tuple[str, Shape]:
    """Name and shape of an output of finished rows `[B, S, 6]`; raw rows of one class look the same."""
    output, shape = single_output(model)
    args = next((entry.value for entry in model.metadata_props if entry.key == "args"), "")
    finished = "'nms': True" in args or any(n.op_type == "NonMaxSuppression" for n in model.graph.node)
    if len(shape) != 3 or shape[2] != 6 or not finished:
        fix = "run `python -m helpers patch FILE` on it first"
        raise PatchError("model", "finished rows [B, slots, 6]", f"{output} {list(shape)}", fix)
    return output, shape


def _add_fit(model: onnx.ModelProto, size_wh: tuple[int, int]) -> None:
    """Append the nodes that place a picture of `picture_wh` inside the network's input."""
    sources: Sources = {"picture_wh": PICTURE_WH, "one": np.array([1]), "two": np.array([2])}
    sources |= {"size_wh": np.array(size_wh), "size_hw": np.array(size_wh[::-1])}
    splice(model, nodes.fit, sources, "fit", CONTENT)
    splice(model, nodes.centre, {"content_wh": CONTENT, "size_wh": SIZE_WH, "two": "fit/two"}, "fit", BEFORE)


def _add_colours(model: onnx.ModelProto, source: str, images: onnx.ValueInfoProto) -> None:
    """Append what makes the network's input, in its type and under its name, from planes of 0 to 255."""
    function = nodes.colours if images.type.tensor_type.elem_type == TensorProto.FLOAT else nodes.half_colours
    splice(model, function, {"nchw": source, "white": WHITE}, "colours", images.name)


def _fix_batch(model: onnx.ModelProto, batch: int | str | None) -> None:
    """A symbolic batch is 1, where outputs and intermediate values say it."""
    for value in (*model.graph.output, *model.graph.value_info) if isinstance(batch, str) else ():
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == batch:
                dimension.dim_value = 1


def _replace_input(
    model: onnx.ModelProto, images: onnx.ValueInfoProto, name: str, shape: Shape, what: str
) -> list[str]:
    """Put a `uint8` input in the place of `images`, and say so, in the file's metadata, too."""
    line = f"{_said(images)} -> {name} uint8{list(shape)}: BGR, {what}".replace("'", "")
    new = helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
    next(value for value in model.graph.input if value.name == images.name).CopyFrom(new)
    _note(model, input=f"{name} uint8, BGR, {what}")
    return [line, "note: Ultralytics cannot run this file, it prepares pictures itself"]


def _note(model: onnx.ModelProto, **notes: str) -> None:
    """Say in the metadata what is in the graph; what is there stays."""
    notes["ultralytics"] = "cannot run this file: it prepares pictures itself"
    kept = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, kept | notes)


def _finished(old: onnx.ModelProto, model: onnx.ModelProto, before: int, report: list[str]) -> PatchResult:
    """Bring the nodes from `before` on to the front, where the picture comes in, and check the whole."""
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(ordered[before:] + ordered[:before])
    return finish(old, model, report, ahead=len(ordered) - before)
