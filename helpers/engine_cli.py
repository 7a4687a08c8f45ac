"""`python -m helpers build`: a finished graph, or a model by name, becomes a TensorRT engine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.arguments import folder, number, picture_size

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `build`."""
    text = "finished ONNX graph, or a model -> TensorRT engine (NVIDIA GPU)"
    command = commands.add_parser("build", help=text, description=text)
    option = command.add_argument
    option("model", help="an .onnx file ([B,100,6]), or a checkpoint by name or path: its graph is made")
    option("--out", type=_engine_file, help="the engine (default: the graph's name with .engine)")
    option("--plan", action="store_true", help="only say what would be built; needs no GPU")
    option("--batch", type=_batch, help="open batch: fewest,usual,most pictures, such as 1,4,16")
    option("--workspace", type=number(0.001), default=4.0, help="scratch memory of a layer, GiB at most (4)")
    option("--timing-cache", type=Path, help="timings of earlier builds (default: a file beside the engine)")
    option("--version-compatible", action="store_true", help="loads in later TensorRT, too; a bit slower")
    option("--hardware-compatible", action="store_true", help="loads on GPUs from Ampere on; a bit slower")
    option("--no-tf32", action="store_true", help="FP32 convolutions with all their digits; slower")
    option("--no-progress", action="store_true", help="no bars")
    option("--fp32", action="store_true", help="of a checkpoint: the graph without half precision")
    option("--size", type=picture_size, default=(640, 640), help="of a checkpoint: 640, or 640x480 (w x h)")
    option("--build", type=folder, default=Path("build"), help="of a checkpoint: parent of its files (build)")
    command.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> None:
    from helpers.engine import build_engine, plan_build

    graph, engine = _graph(options)
    target = options.out or engine
    _say(*plan_build(graph, target, batch=options.batch).lines())
    kinds = {"version": options.version_compatible, "hardware": options.hardware_compatible}
    compatible = ", ".join(f"{kind}-compatible" for kind, asked in kinds.items() if asked)
    fits = compatible or "fits this TensorRT and this kind of GPU alone"
    _say(f"workspace: {options.workspace:g} GiB a layer; {fits}")
    if options.plan:
        return
    report = build_engine(
        graph, target, workspace_gb=options.workspace, timing_cache=options.timing_cache,
        batch=options.batch, version_compatible=options.version_compatible,
        hardware_compatible=options.hardware_compatible, tf32=not options.no_tf32,
        progress=not options.no_progress,
    )  # fmt: skip
    _say(*report.lines(), *(f"TensorRT says: {message}" for message in report.messages))
    _say(f"use it: python -m helpers detect {target} PICTURES, or YOLO({str(target)!r}, task='detect')")


def _graph(options: argparse.Namespace) -> tuple[Path, Path]:
    """The graph, made where a checkpoint was named, and the engine's usual name."""
    path = Path(options.model)
    if path.suffix == ".onnx":
        return path, path.with_suffix(".engine")
    from helpers.convert import Recipe, convert
    from helpers.download import find_checkpoint
    from helpers.engine_graph import engine_graph

    half, batched = not options.fp32, options.batch is not None
    recipe = Recipe(options.size, half=half and not batched, batched=batched)
    checkpoint = find_checkpoint(options.model)
    files = convert(checkpoint, options.build, recipe=recipe, progress=lambda line: _say(f"  {line}"))
    graph = engine_graph(files, half=half, batched=batched)
    return graph, graph.with_suffix(".engine")


def _engine_file(text: str) -> Path:
    if Path(text).suffix != ".engine" or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"expected the name of an .engine file to write, got {text!r}")
    return Path(text)


def _batch(text: str) -> tuple[int, int, int]:
    try:
        fewest, usual, most = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected three numbers such as 1,4,16, got {text!r}") from None
    return fewest, usual, most


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
