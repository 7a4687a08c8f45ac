"""The project as a user meets it: many pictures, a conversion, an import, the whole course."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, NotHereError
from benchmarks.measure import Spread, interleave, spread
from benchmarks.row import Check, Entry, Row
from benchmarks.targets import CONVERT, COURSE, IMPORT, LESSON, Target

RECORDED_S = (
    9.2 + 0.35
)  # official exporter, repaired, and the guide's script: two cores, another run (issue 6)
RECORD = Path("build/executed/record.json")


def pictures(bench: Bench) -> Row:
    """A folder through Ray Data, by how many pictures are in it and how many workers look at it."""
    row = Row(
        "pictures",
        "A folder of pictures through Ray Data",
        "from the first part's start to the last one's end",
    )
    row.x_label, row.unit = "workers", "pictures/s"
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise NotHereError("Ray Data is not installed (extra scale)") from error
    from helpers.images import save_image
    from helpers.scale import best_model, cluster, detect_folder

    counts = (4, 8) if bench.quick else (16, 64, 256)
    model = best_model(bench.files().ultralytics)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in counts:
            for index in range(count):
                save_image(folder / f"in-{count}" / f"{index:04}.jpg", bench.picture_bgr)
        with cluster(workers=bench.threads):
            for workers in sorted({1, bench.threads}):
                for count in counts:
                    told = detect_folder(
                        folder / f"in-{count}", model, folder / f"{workers}-{count}", workers=workers
                    )
                    once = Spread(told.pictures_per_s, told.pictures_per_s, told.pictures_per_s, 1)
                    note = f"{told.seconds:.1f} s in all, of which {told.working_s:.1f} s at work"
                    row.entries.append(Entry(f"{count} pictures, {workers} workers", once, None, note))
                row.series.setdefault(f"{counts[-1]} pictures", []).append((workers, told.pictures_per_s))
    row.notes.append("one run each, not interleaved; starting the workers is in the seconds, not in the rate")
    return row


def convert(bench: Bench) -> Row:
    """Checkpoint to patched file, in a process of its own."""
    row = Row("convert", "Checkpoint to patched ONNX", "a process's life: python -m helpers convert", "s")
    taken = []
    for _ in range(1 if bench.quick else 5):
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, "-m", "helpers", "convert", str(bench.checkpoint), "--out", name]
            command += ["--size", str(bench.size)]
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            taken.append(time.perf_counter() - began)
    row.entries.append(Entry("python -m helpers convert", spread(taken)))
    recorded = Spread(RECORDED_S, RECORDED_S, RECORDED_S, 1)
    row.entries.append(
        Entry("official exporter, repaired, + the guide's script", recorded, None, "recorded elsewhere")
    )
    value = None if bench.quick else spread(taken).median / RECORDED_S
    note = "the reference is from another run, on two cores of another machine, so the ratio is a guide only"
    row.checks.append(Check("ours / reference, wall time", value, CONVERT, note))
    row.notes.append(
        "in ours: Python's start, torch's import, export with its proof, NMS, patch, metadata, filter"
    )
    return row


def import_time(bench: Bench) -> Row:
    """`import helpers` against a Python that does nothing."""
    row = Row("import", "import helpers", "a process's life, less one that does nothing")

    def python(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    codes = {"pass": "pass", "import helpers": "import helpers"}
    runs = {name: partial(python, code) for name, code in codes.items()}
    seconds = interleave(runs, rounds=max(3, bench.rounds))
    row.add(seconds, "pass")
    both = zip(seconds["import helpers"], seconds["pass"], strict=True)
    value = spread([a - b for a, b in both]).median
    row.checks.append(Check("import helpers, s", value, IMPORT))
    return row


def course(_bench: Bench) -> Row:
    """The whole course, from the record that `make run` leaves."""
    row = Row("course", "The course, headless", "every lesson in a fresh kernel, one after another", "s")
    try:
        record = json.loads(RECORD.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NotHereError(f"no {RECORD.as_posix()} here: make run writes it") from error
    for lesson in record["lessons"]:
        value = float(lesson["seconds"])
        row.entries.append(Entry(lesson["name"], Spread(value, value, value, 1)))
    seconds = [float(lesson["seconds"]) for lesson in record["lessons"]]
    there = len(list(Path("notebooks").glob("[0-9]*.ipynb")))
    whole = len(seconds) >= there
    note = "" if whole else f"recorded {len(seconds)} of {there} lessons: run make run"
    row.checks.append(Check("all lessons, s", sum(seconds) if whole else None, COURSE, note))
    row.checks.append(Check("the longest lesson, s", max(seconds), LESSON))
    row.notes.append(f"recorded {record['when']}, {len(seconds)} lessons")
    return row


__all__ = ["Target", "convert", "course", "import_time", "pictures"]
