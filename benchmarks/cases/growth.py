"""How cost grows: with detections, batch, input size, and the size of the photograph."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx

from benchmarks.graphs import logits, tail
from benchmarks.measure import spread
from benchmarks.row import Entry, Row

if TYPE_CHECKING:
    from benchmarks.bench import Bench

PASSING = (0, 10, 30, 100, 300, 1000, 3000, 25200)
TAILS = ("ours, filtered by mask", "ours, filtered by top-K", "ours, unfiltered", "the guide's patch")


def detections(bench: Bench) -> Row:
    """What comes after the convolutions, by how many candidates pass the threshold."""
    row = Row(
        "detections",
        "What comes after the convolutions, by candidates that pass",
        "the tail alone, on ready logits",
    )
    row.x_label = "candidates above the threshold"
    columns = onnx.load(bench.files().raw).graph.output[0].type.tensor_type.shape.dim[2].dim_value
    tails = {name: tail(bench.graphs[name]) for name in TAILS}
    sessions = {name: bench.session(model) for name, model in tails.items()}
    for passing in (0, 100) if bench.quick else PASSING:
        runs = {n: partial(s.run, None, logits(tails[n], passing, columns)) for n, s in sessions.items()}
        for name, taken in bench.interleave(runs, rounds=2 * bench.rounds).items():
            row.series.setdefault(name, []).append((passing, spread(taken).median * 1000))
    row.notes.append("candidates of all classes on all levels; the NMS keeps at most 100 a picture")
    return row


def batch(bench: Bench) -> Row:
    """One picture a run against several, per picture."""
    row = Row("batch", "Several pictures in one run", "session.run on a ready tensor, for each picture")
    row.x_label, files = "pictures in a batch", bench.files()
    batched, single, one = bench.session(files.batched), bench.session(files.ultralytics), bench.tensor()
    runs = {"-ultralytics, 1": partial(single.run, None, {"images": one})}
    sizes = (1, 2) if bench.quick else (1, 2, 4, 8, 16)
    runs |= {
        f"-batched, {count}": partial(batched.run, None, {"images": np.repeat(one, count, axis=0)})
        for count in sizes
    }
    seconds = bench.interleave(runs, rounds=max(3, bench.rounds // 3))
    counts = {name: int(name.rpartition(" ")[2]) for name in runs}
    row.add({name: [s / counts[name] for s in taken] for name, taken in seconds.items()}, "-ultralytics, 1")
    row.series["-batched"] = [
        (counts[e.name], e.value.median) for e in row.entries if e.name.startswith("-batched")
    ]
    row.notes.append(f"threads in the session: {bench.threads}")
    return row


def size(bench: Bench) -> Row:
    """Input sizes of the network."""
    row = Row("size", "The network's input size", "session.run on a ready tensor")
    row.x_label, sizes = "side of the input, px", (64, 96) if bench.quick else (320, 480, 640, 960)
    sessions = {side: bench.session(bench.files(side).ultralytics) for side in sizes}
    runs = {
        f"{side} px": partial(s.run, None, {"images": bench.tensor(side)}) for side, s in sessions.items()
    }
    row.add(bench.interleave(runs, rounds=max(3, bench.rounds // 3)), f"{sizes[0]} px")
    row.series["patched graph"] = [(side, e.value.median) for side, e in zip(sizes, row.entries, strict=True)]
    return row


def photo(bench: Bench) -> Row:
    """How large the photograph is, before it is made to fit."""
    row = Row("photo", "The photograph's size", "pixels in memory to boxes in their own pixels")
    row.x_label, detector = "megapixels", bench.detector(bench.files().ultralytics)
    sizes = ((64, 48), (128, 96)) if bench.quick else ((640, 480), (1920, 1440), (4032, 3024), (8000, 6000))
    images = {f"{w} x {h}": cv2.resize(bench.picture_bgr, (w, h)) for w, h in sizes}
    runs = {name: partial(detector.detect, image) for name, image in images.items()}
    row.add(bench.interleave(runs, rounds=max(3, bench.rounds // 3)), next(iter(runs)))
    for name, (w, h), entry in zip(images, sizes, list(row.entries), strict=True):
        row.series.setdefault("Detector", []).append((w * h / 1e6, entry.value.median))
        fit = bench.interleave({name: partial(cv2.resize, images[name], (bench.size, bench.size))}, rounds=3)[
            name
        ]
        row.series.setdefault("of this, resizing", []).append((w * h / 1e6, spread(fit).median * 1000))
    return row


__all__ = ["Entry", "batch", "detections", "photo", "size"]
