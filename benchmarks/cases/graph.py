"""One graph against another: what decode, NMS and padding cost on top of the convolutions; precisions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx

from benchmarks.bench import Bench, NotHereError
from benchmarks.graphs import convolutions, guide_patch
from benchmarks.row import Check, Row
from benchmarks.targets import FLOOR, INT8
from helpers.patches.filter import filter_candidates
from helpers.patches.ultralytics import to_ultralytics

ALONE, MASK = "convolutions alone", "ours, filtered by mask"
OFFICIAL = Path("../shared/fixtures/official-end2end-yolov7-tiny")


def floor(bench: Bench) -> Row:
    """The finished graph against its own convolutions."""
    row = Row("floor", "Finished graphs against their convolutions alone", "session.run on a ready tensor")
    feed = {"images": bench.tensor()}
    sessions = {name: bench.session(model) for name, model in bench.graphs.items()}
    row.add(
        bench.interleave(
            {name: partial(s.run, None, feed) for name, s in sessions.items()}, rounds=bench.rounds
        ),
        ALONE,
    )
    found = int((sessions[MASK].run(None, feed)[0][0, :, 4] > 0).sum())
    row.notes.append(f"a drawn smear with {found} detections, {bench.size} px, batch 1, FP32")
    row.checks.append(Check("patched graph / convolutions alone", row.ratio(MASK), FLOOR))
    return row


def official(bench: Bench) -> Row:
    """The official exporter's own file: as it is, with the guide's patch, with ours."""
    row = Row("official", "The official exporter's own file, patched", "session.run on a ready tensor")
    path = OFFICIAL.with_suffix(".onnx")
    if not path.is_file():
        raise NotHereError("no ../shared/fixtures/official-end2end-yolov7-tiny.onnx here")
    end2end = onnx.load(path)
    ours = filter_candidates(to_ultralytics(end2end).model).model
    graphs = {
        ALONE: convolutions(ours),
        "as exported, [M,7]": end2end,
        "the guide's patch": guide_patch(end2end),
    }
    graphs |= {"ours, unfiltered": to_ultralytics(end2end).model, MASK: ours}
    with np.load(OFFICIAL.with_suffix(".npz")) as known:
        feed = {
            "images": known[next(name for name in known.files if name.startswith("x"))].astype(np.float32)
        }
    sessions = {name: bench.session(model) for name, model in graphs.items()}
    runs = {name: partial(s.run, None, feed) for name, s in sessions.items()}
    row.add(bench.interleave(runs, rounds=8 * bench.rounds), ALONE)
    row.notes.append(
        "a file of scaled-down width with an input of 192 x 128: its convolutions are so short that the tail "
        "weighs more than in a real model; who is faster says something, the ratio to the floor does not"
    )
    return row


def precision(bench: Bench) -> Row:
    """FP16 and INT8 against FP32, the same network."""
    row = Row("precision", "Low precision against FP32", "session.run on a ready tensor")
    feed = {"images": bench.tensor()}
    files = bench.files()
    sessions = {"FP32": bench.session(files.ultralytics)}
    for name in ("FP16", "INT8"):
        try:
            session = bench.session(files.fp16 if name == "FP16" else bench.int8)
            session.run(None, feed)
            sessions[name] = session
        except (NotHereError, ValueError) as reason:
            row.not_run.append(f"{name}: {reason}")
    row.add(
        bench.interleave({n: partial(s.run, None, feed) for n, s in sessions.items()}, rounds=bench.rounds),
        "FP32",
    )
    ratio = row.ratio("INT8")
    row.checks.append(Check("FP32 / INT8, times faster", 1 / ratio if ratio else None, INT8))
    row.notes.append("FP16 is for GPUs: a CPU without FP16 arithmetic converts back and forth")
    return row
