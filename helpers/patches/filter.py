"""Filter before the decode: only candidates that can become detections are decoded at all.

A graph that ends in an NMS decodes every candidate, 25 200 of them at 640, each with 5 + C values, and throws
nearly all away. But a score is at most the objectness, so a candidate whose objectness is not above the NMS's
own threshold cannot pass it: its other values need never be read. Nor its sigmoid: a sigmoid rises, so logits
can be compared. What is left is gathered from the heads as the convolutions wrote them, and decoded.

What stands behind the decode, NMS included, stays node for node: it sees fewer rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx

from helpers.patches import (
    PatchError,
    PatchResult,
    constant_value,
    open_model,
    single_output,
    splice,
    unchanged,
)
from helpers.patches import filter_nodes as nodes
from helpers.patches.filter_find import NOT_UNDERSTOOD, Decode, Level, between, find_decode, read_decode
from helpers.patches.filter_proof import learn_decode, prove

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message
    from numpy.typing import NDArray

    from helpers.patches import Source

__all__ = ["Form", "filter_candidates"]

Form = Literal["mask", "topk"]
MOST_K = 3839  # TensorRT's TopK wants K < 3840
KEY = "filter"  # in the metadata
ZEROS = "filter/zeros"


def filter_candidates(
    model: onnx.ModelProto, *, form: Form = "mask", k: int = 1000, score_threshold: float | None = None
) -> PatchResult:
    """Move the score threshold of a detector's NMS in front of the decode.

    Works on any graph with YOLOv7's decode and an NMS behind it: with `[M, 7]`, `[1, 100, 6]` or
    `[B, 100, 6]`, in FP32 or FP16; ours, or the official exporter's. A filtered graph can be given the other
    form.

    Args:
        model: a detector of a fixed picture size, for any batch.
        form: `mask` keeps whatever passes: exact always; shapes that change, best for ONNX Runtime. `topk`
            keeps in each picture and level the `k` best by objectness: fixed shapes, for TensorRT; exact
            while in no picture more than `k` candidates of a level pass.
        k: 1 to 3839.
        score_threshold: for an NMS that is told its threshold at run time: the lowest there will be.

    Returns:
        The model with the same outputs, and what was done in its metadata under `filter`.

    Raises:
        PatchError: not such a graph; or one that, run on random logits, is not what it was.

    >>> filter_candidates(onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     net (float[1, 9, 7] x) => (float[1, 9, 7] y) { y = Identity(x) }'''))
    Traceback (most recent call last):
    helpers.patches.PatchError: model: expected an NMS to filter for; got none; fix: run ...add_nms first
    """
    _require_options(form, k)
    patched = open_model(model)
    single_output(patched)
    threshold_name, threshold = _threshold(patched, score_threshold)
    limit = _limit(threshold)
    kept = "all that can pass" if form == "mask" else f"the {k} best of each level"
    note = f"{form}: objectness above {threshold:g}; {kept}"
    decode = read_decode(patched)
    if decode and {entry.key: entry.value for entry in model.metadata_props}.get(KEY) == note:
        return unchanged(model, f"filtered already: {note}")
    decode = decode or learn_decode(patched, *find_decode(patched))
    before_k = constant_value(patched, "filter/level0/k")  # where the other form was top-K
    before = len(patched.graph.node)
    place = _remove_decode(patched, decode)
    removed = before - len(patched.graph.node)
    k = k if form == "topk" else 0
    added = _insert(patched, place, decode, limit, k)
    _note(patched, note)
    patched = _ensured(patched)
    report = [f"decoded of {decode.candidates} candidates: {kept}; {removed} nodes out, {added} in"]
    report += [f"objectness logit above {limit:.4g}, because the NMS wants scores above {threshold:g}"]
    if k:
        report += [f"exact while in no picture more than {k} candidates of a level pass"]
    most = min(k or decode.candidates, decode.candidates if before_k is None else int(before_k.item()))
    report += [prove(model, patched, decode, limit, most, {threshold_name: threshold})]
    return PatchResult(patched, changed=True, report=tuple(report))


def _require_options(form: str, k: int) -> None:
    if form not in ("mask", "topk"):
        raise PatchError(
            "form", "'mask' or 'topk'", repr(form), "'mask' for ONNX Runtime, 'topk' for TensorRT"
        )
    if type(k) is not int or not 1 <= k <= MOST_K:
        raise PatchError("k", f"1 to {MOST_K}, where TensorRT's TopK ends", repr(k), "1000 is usual")


def _threshold(model: onnx.ModelProto, asked: float | None) -> tuple[str, float]:
    """Where the NMS reads its score threshold from, and what that is at the least."""
    found = [node for node in model.graph.node if node.op_type == "NonMaxSuppression"]
    if len(found) != 1:
        fix = NOT_UNDERSTOOD if found else "run helpers.patches.nms.add_nms first"
        raise PatchError("model", "an NMS to filter for", f"{len(found) or 'none'}", fix)
    name = (*found[0].input, "", "", "")[4]
    constant = constant_value(model, name) if name else None
    if constant is None and asked is None:
        fix = "say which will be the lowest: score_threshold=0.25"
        raise PatchError("model", "an NMS with a constant score threshold", name or "none", fix)
    threshold = float(constant.item()) if constant is not None else math.inf
    wanted = threshold if asked is None else float(np.float32(asked))  # as the graph holds it: 0.35 is 0.35
    if asked is not None and not 0 <= wanted <= threshold:
        raise PatchError("score_threshold", f"0 to the NMS's own {threshold:g}", asked, "leave it out")
    return name, wanted


def _limit(threshold: float) -> float:
    """The logit below which nothing passes the threshold.

    With room for rounding: in FP32 the sigmoid of ONNX Runtime's CPU kernel is up to 6e-8 off.
    """
    safe = threshold * (1 - 1e-4) - 1e-6
    return -math.inf if safe <= 0 else math.inf if safe >= 1 else math.log(safe / (1 - safe))


def _remove_decode(model: onnx.ModelProto, decode: Decode) -> int:
    """Take out, in place, all that only works for the decoded value; returns where in the nodes that was."""
    graph, heads = model.graph, [level.head for level in decode.levels]
    suspects = {node.output[0] for node in between(model, heads, decode.output)[0]}
    wanted = {value.name for value in graph.output} | set(heads)
    kept: list[onnx.NodeProto] = []
    behind = 0
    for node in reversed(graph.node):
        if decode.output in node.output:
            behind = len(kept)
        elif node.output[0] not in suspects or not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted.update(node.input)
    kept.reverse()
    unread = {name for node in graph.node for name in node.input} - wanted
    stale = {decode.output}  # the sizes of what is made from it are no longer what they were
    for node in kept:
        stale.update(node.output if not stale.isdisjoint(node.input) else ())
    made = {name for node in kept for name in node.output} - stale
    _replace(graph.node, kept)
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name not in unread])
    _replace(graph.value_info, [value for value in graph.value_info if value.name in made])
    return len(kept) - behind


def _insert(model: onnx.ModelProto, place: int, decode: Decode, limit: float, k: int) -> int:
    """Put the filter (`k` = 0: by mask) at `place` in the nodes, in place; returns how many nodes it has."""
    new = onnx.ModelProto()
    new.opset_import.extend(model.opset_import)
    smallest = min(decode.levels, key=lambda level: level.candidates)
    parts: dict[str, list[str]] = {"logits": [], "place": [], "scale": []}
    for number, level in enumerate(decode.levels):
        prefix = f"filter/level{number}"
        channels = np.arange(len(level.scales)) * decode.columns + 4
        given: dict[str, Source] = {"head": level.head, "objectness_channels": channels}
        splice(new, nodes.objectness, given, prefix, f"{prefix}/objectness")
        if level is smallest and not k:
            splice(new, nodes.zero_each, {"logits": f"{prefix}/objectness"}, "filter", ZEROS)
        for name, values in parts.items():
            values.append(f"{prefix}/{name}")
    for number, level in enumerate(decode.levels):
        limits = np.full(level.candidates if level is smallest else 1, limit, np.float32)
        if level is smallest:
            limits[0] = -np.inf  # one row always stays, so that nothing behind meets a table without rows
        _level(new, f"filter/level{number}", level, decode.columns, limits, min(k, level.candidates))
    for name, values in parts.items():
        title = f"filter/{name}"
        new.graph.node.append(onnx.helper.make_node("Concat", values, [title], name=title, axis=1))
    splice(new, nodes.decode, {name: f"filter/{name}" for name in parts}, "filter", "filter/decoded")
    new.graph.node[-1].output[0] = decode.output
    old = list(model.graph.node)
    _replace(model.graph.node, [*old[:place], *new.graph.node, *old[place:]])
    model.graph.initializer.extend(new.graph.initializer)
    return len(new.graph.node)


def _level(
    new: onnx.ModelProto, prefix: str, level: Level, columns: int, limits: NDArray[np.float32], k: int
) -> None:
    """Of one level the logits, places and scales of the candidates that stay."""
    cells = len(level.places)
    logits, index = f"{prefix}/objectness", f"{prefix}/index"
    if k:
        splice(new, nodes.best, {"logits": logits, "k": np.array([k])}, prefix, index)
    else:
        opset = next(entry.version for entry in new.opset_import if entry.domain in ("", "ai.onnx"))
        highest = nodes.any_picture if opset >= 18 else nodes.any_picture_12
        splice(new, highest, {"logits": logits}, prefix, f"{prefix}/highest")
        given: dict[str, Source] = {"highest": f"{prefix}/highest", "limits": limits, "zeros": ZEROS}
        splice(new, nodes.survivors, given, prefix, index)
    tables = {"cells": np.array(cells), "places": level.places, "scales": level.scales}
    splice(new, nodes.geometry, {"index": index, **tables}, prefix)
    rows: dict[str, Source] = {"head": level.head, "index": index, "anchor": f"{prefix}/anchor"}
    rows |= {"jump": np.array((columns - 1) * cells), "lanes": np.arange(columns) * cells}
    rows["form"] = np.array([0, -1, columns])
    splice(new, nodes.rows_of, rows, prefix, f"{prefix}/logits")


def _replace(field: Any, values: Iterable[Message]) -> None:
    """Fill a repeated field anew; copies, because clearing it empties what it held."""
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)


def _ensured(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return open_model(model)
    except PatchError as error:
        reason = str(error.__cause__).strip().splitlines()[0]
        fix = "rename the values of the graph that are called like the patch's"
        raise PatchError("patch", "a graph that onnx.checker accepts", reason, fix) from error


def _note(model: onnx.ModelProto, note: str) -> None:
    entries = {entry.key: entry.value for entry in model.metadata_props} | {KEY: note}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, entries)
