"""Is it what we take it for, and did it stay the same? Run the part behind the heads on logits, and see."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from helpers.patches import PatchError, Shape, shape_of
from helpers.patches.filter_find import NOT_UNDERSTOOD, Decode, Level, reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from helpers.patches.filter_find import Shapes

__all__ = ["learn_decode", "prove"]

CLOSE_PX = 1e-4
SILENT = -20.0  # an objectness logit below any limit
CROWD = 60  # candidates of each level in the fullest of the pictures of the proof


def learn_decode(model: onnx.ModelProto, heads: Sequence[str], output: str, shapes: Shapes) -> Decode:
    """Read places and anchors off a run on logits of 0, then see that the formula holds for any.

    Raises:
        PatchError: rows in another order, or numbers that are not those of YOLOv7's decode.
    """
    columns = int(shapes[output][2] or 0)
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    value = onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [None, None, columns])
    cut.graph.output[0].CopyFrom(value)
    part = reading(cut, heads)
    flat = {name: np.zeros(_sizes(shapes[name]), np.float32) for name in heads}
    for number, logits in enumerate(flat.values()):
        logits[:, 4::columns] = number  # tells from which head a row is
    rows = _run(part, flat)[0]
    marks = 1 / (1 + np.exp(-np.arange(len(heads))))
    origin = np.abs(rows[:, 4:5] - marks).argmin(axis=1)
    starts = [int(np.argmax(origin == number)) for number in range(len(heads))]
    levels = [
        _level(name, rows[start:], flat[name].shape, columns)
        for name, start in zip(heads, starts, strict=True)
    ]
    decode = Decode(tuple(levels[number] for number in np.argsort(starts)), columns, output)
    if decode.candidates != len(rows):
        got = f"{len(rows)} rows for {decode.candidates} candidates"
        raise PatchError("model", "one row for each candidate", got, NOT_UNDERSTOOD)
    random = np.random.default_rng(7)
    noise = {name: random.normal(0, 3, logits.shape).astype(np.float32) for name, logits in flat.items()}
    found, expected = _run(part, noise), _decoded(decode, noise)
    apart = np.abs(found - expected)
    if not (apart <= CLOSE_PX + 1e-5 * np.abs(expected)).all():  # FP32 sigmoids differ in their last bits
        got = f"another, up to {apart.max():.3g} apart"
        raise PatchError("model", "the decode of YOLOv7", got, NOT_UNDERSTOOD)
    return decode


def _level(name: str, rows: NDArray[np.float32], shape: tuple[int, ...], columns: int) -> Level:
    cells = shape[2] * shape[3]
    stride = 2 * rows[0, 0]  # the first cell's centre is half a stride from the corner
    anchors = rows[: cells * (shape[1] // columns) : cells, 2:4]
    scales = np.concatenate((np.full_like(anchors, 2 * stride), 4 * anchors), axis=1)
    return Level(name, rows[:cells, :2] - stride, scales)


def _decoded(decode: Decode, logits: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The formula in NumPy, `[B, N, V]`."""
    blocks = []
    for level in decode.levels:
        batch, _, height, width = logits[level.head].shape
        table = logits[level.head].reshape(batch, len(level.scales), decode.columns, height * width)
        values = 1 / (1 + np.exp(-table.transpose(0, 1, 3, 2)))
        scales = level.scales[:, None]
        centre = values[..., :2] * scales[..., :2] + level.places
        size = values[..., 2:4] ** 2 * scales[..., 2:]
        rows = np.concatenate((centre, size, values[..., 4:]), axis=3)
        blocks.append(rows.reshape(batch, -1, decode.columns))
    return np.concatenate(blocks, axis=1)


def prove(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    decode: Decode,
    limit: float,
    most: int,
    given: Mapping[str, float] | None = None,
) -> str:
    """Compare what two graphs make of the same logits: nothing that passes, one candidate, a crowd.

    Args:
        before: the graph as it was.
        after: the filtered graph.
        decode: heads and columns of both.
        limit: the objectness logit that the filter compares with.
        most: candidates of a level that may pass.
        given: numbers for inputs besides the pictures; zeros where there are none.

    Returns:
        What was seen, in words.

    Raises:
        PatchError: the outputs differ: what stands behind the decode does not only look at what can pass.
    """
    heads = [level.head for level in decode.levels]
    parts = [reading(model, heads) for model in (before, after)]
    given = given or {}
    empty = {value.name: _filled(value, given.get(value.name, 0)) for value in parts[0].graph.input}
    random, counts = np.random.default_rng(11), []
    for crowd in (0, 1, CROWD):
        feeds = dict(empty)
        for level in decode.levels:
            count = min(crowd, most, level.candidates)
            feeds[level.head] = _logits(random, empty[level.head].shape, decode.columns, count, limit)
        old, new = (_run(part, feeds) for part in parts)
        counts.append(int((old[..., 4:] > 0).any(axis=-1).sum()) if old.ndim > 2 else len(old))
        apart = np.abs(new - old).max(initial=0) if old.shape == new.shape else np.inf
        if not apart <= CLOSE_PX:
            got = f"{list(old.shape)} before, {list(new.shape)} after, {apart:.3g} apart"
            raise PatchError("model", "detections that depend on what passes alone", got, NOT_UNDERSTOOD)
    return f"compared on random logits: the same {', '.join(map(str, counts))} detections"


def _logits(
    random: np.random.Generator, size: tuple[int, ...], columns: int, count: int, limit: float
) -> NDArray[np.float32]:
    """Random logits `[B, A * V, H, W]`: `count` of each picture pass the limit, the others just not."""
    logits = random.normal(0, 2, size).astype(np.float32)
    batch, channels, height, width = size
    table = logits.reshape(batch, channels // columns, columns, height * width)
    missed = limit - random.uniform(0.1, 3, table[:, :, 4].shape) if math.isfinite(limit) else SILENT
    table[:, :, 4] = missed
    for picture in table:
        chosen = random.permutation(picture.shape[0] * picture.shape[2])[:count]
        anchors, cells = np.divmod(chosen, picture.shape[2])
        picture[anchors, 4, cells] = np.clip(limit, -8, 8) + random.uniform(0.1, 4, count)
    return logits


def _sizes(shape: Shape) -> tuple[int, ...]:
    """A shape to try: two pictures where the batch is open."""
    return tuple(size if isinstance(size, int) else 2 for size in shape)


def _filled(value: onnx.ValueInfoProto, number: float) -> NDArray[Any]:
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return np.full(_sizes(shape_of(value) or ()), number, kind)


def _run(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = ("Fail", "InvalidArgument", "InvalidGraph", "NotImplemented", "RuntimeException")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return np.asarray(session.run(None, dict(feeds))[0])
    except tuple(getattr(state, kind) for kind in kinds) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise PatchError(
            "model", "a graph that runs on any number of candidates", reason, NOT_UNDERSTOOD
        ) from error
