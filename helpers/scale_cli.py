"""`python -m helpers detect-many`: a large folder through one graph, on every core or on a cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.arguments import folder, number, whole

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `detect-many`."""
    command = commands.add_parser("detect-many", help="a large folder, on every core or a cluster -> Parquet")
    command.add_argument("source", type=Path, help="a folder of pictures, with the folders below it")
    command.add_argument("--model", default="blood-cells", help="a finished .onnx, or a model's name or path")
    command.add_argument("--out", type=folder, default=Path("results"), help="folder of the Parquet files")
    command.add_argument("--workers", type=whole(1), help="processes (default: one a core)")
    command.add_argument("--batch", type=whole(1), default=8, help="pictures in one run of the graph (8)")
    command.add_argument("--threads", type=whole(1), default=1, help="of each worker (1)")
    command.add_argument("--gpus", type=number(0), default=0.0, help="of each worker; 0.5 shares one (0)")
    command.add_argument("--conf", type=number(0, 1), default=0.0, help="drop boxes below")
    command.add_argument("--address", help="of a Ray cluster; without it, this machine alone")
    command.set_defaults(run=_detect_many)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _detect_many(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from helpers.scale import count_names, detect_folder, read_results

    model = _model(options.model)
    with tqdm(unit=" pictures", disable=None) as bar:

        def tell(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        summary = detect_folder(
            options.source, model, options.out, workers=options.workers, address=options.address,
            batch_size=options.batch, threads=options.threads, gpus=options.gpus,
            score_threshold=options.conf, progress=tell,
        )  # fmt: skip
    speed = (
        f", {summary.pictures_per_s:.1f} pictures/s, {summary.seconds:.1f} s in all" if summary.done else ""
    )
    _say(f"{summary}; {model.name}{speed}")
    table = read_results(options.out)
    boxes = ", ".join(f"{count} {name}" for name, count in count_names(table).items()) or "no boxes"
    _say(f"{options.out}: {len(table)} rows; {boxes}")
    bad = [row for row in table.select(["path", "error"]).to_pylist() if row["error"] is not None]
    for row in bad:
        sys.stderr.write(f"error: {row['path']}: {row['error']}\n")
    return 1 if bad else 0


def _model(name: str) -> Path:
    """The `.onnx` file that is named; of a model or checkpoint, the one for many pictures."""
    from helpers.convert import Recipe, convert
    from helpers.download import find_checkpoint

    if Path(name).suffix == ".onnx":
        return Path(name)
    recipe = Recipe(batched=True)
    return convert(find_checkpoint(name), recipe=recipe, progress=lambda line: _say(f"  {line}")).batched
