"""Train the bundled model: `python -m helpers.training --bccd FOLDER --out FOLDER`; run it again to go on."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from functools import partial
from pathlib import Path

import cv2
import torch

from helpers.arguments import number, whole
from helpers.training.batches import Batches, BatchRecipe
from helpers.training.datasets import CELL_NAMES, Samples, read_voc
from helpers.training.evaluation import EvaluationReport, evaluate
from helpers.training.loop import TrainingConfig, TrainingResult, train
from helpers.training.prediction import predictor
from helpers.training.smears import draw_smear
from helpers.training.start import start_training


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.training", description=__doc__)
    parser.add_argument(
        "--bccd", type=Path, required=True, help="folder with JPEGImages, Annotations, train.txt, val.txt"
    )
    parser.add_argument("--out", type=Path, default=Path("build/train"), help="folder of the run")
    parser.add_argument("--start", default="", help="checkpoint to start from, by name or path (nothing)")
    _add_method(parser)
    _add_pictures(parser)
    _add_machine(parser)
    return parser


def _add_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=whole(0), default=6000, help="steps of the optimiser")
    parser.add_argument("--peak", type=number(0), default=0.002, help="highest learning rate")
    parser.add_argument("--weight-decay", type=number(0), default=0.01)
    parser.add_argument("--decay", type=number(0, 1), default=0.998, help="of the average of the weights")
    parser.add_argument("--accumulate", type=whole(1), default=1, help="batches per step")
    parser.add_argument(
        "--auxiliary", action=argparse.BooleanOptionalAction, default=True, help="an auxiliary head"
    )
    parser.add_argument("--seed", type=whole(0), default=0)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=whole(1), default=8, help="pictures per batch")
    parser.add_argument("--size", type=whole(96), default=416, help="side of the training windows in pixels")
    parser.add_argument("--canvas", type=whole(96), default=640, help="input size at detection, in pixels")
    parser.add_argument(
        "--real", type=number(0, 1), default=0.7, help="share of photographs; 0 is drawn only, 1 real only"
    )
    parser.add_argument("--drawn-pool", type=whole(1), default=300, help="how many drawn pictures there are")
    parser.add_argument("--mosaic", type=number(0, 1), default=0.8, help="probability of a mosaic")
    parser.add_argument("--calm", type=number(0, 1), default=0.15, help="last share of the run: no mosaics")
    parser.add_argument(
        "--whole", type=number(0, 1), default=0.06, help="last share of the run: whole pictures"
    )
    parser.add_argument("--rectangular", action="store_true", help="whole pictures without most grey bars")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--workers", type=whole(0), default=1, help="processes that prepare batches")
    parser.add_argument("--evaluate-every", type=whole(1), default=500, help="steps between evaluations")
    parser.add_argument(
        "--thin", type=whole(1), default=3, help="running evaluations take every so manieth picture"
    )
    parser.add_argument("--save-every", type=whole(1), default=250, help="steps between saves")
    parser.add_argument("--stop-at", type=whole(0), help="stop after this step; run again to go on")


def _config(options: argparse.Namespace) -> TrainingConfig:
    return TrainingConfig(
        out=options.out, steps=options.steps, accumulate=options.accumulate, peak=options.peak,
        warmup=min(200, options.steps // 10 + 1), weight_decay=options.weight_decay, decay=options.decay,
        auxiliary=options.auxiliary, device=options.device, workers=options.workers,
        save_every=options.save_every, evaluate_every=options.evaluate_every,
        evaluate_size=options.canvas, seed=options.seed,
    )  # fmt: skip


def _recipe(options: argparse.Namespace) -> BatchRecipe:
    return BatchRecipe(
        batch=options.batch, size=options.size, canvas=options.canvas,
        steps=options.steps * options.accumulate, real_fraction=options.real, mosaic=options.mosaic,
        calm_fraction=options.calm, whole_fraction=options.whole, rectangular=options.rectangular,
        drawn_pool=options.drawn_pool, seed=options.seed,
    )  # fmt: skip


def _report(options: argparse.Namespace, result: TrainingResult, report: EvaluationReport) -> None:
    figures = {
        "command": sys.argv[1:], "steps": result.step, "seconds": round(result.seconds),
        "AP50": report.ap50, "AP": report.ap, "AP75": report.ap75,
        "AP50_per_class": dict(report.ap50_per_class), "AP_per_class": dict(report.ap_per_class),
    }  # fmt: skip
    (options.out / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(report.to_table() + "\n")


def main() -> int:
    """Train, evaluate on all validation pictures; `weights.safetensors` and `report.json` are the result."""
    options = arguments().parse_args()
    cv2.setNumThreads(0)
    torch.manual_seed(options.seed)
    real = read_voc(options.bccd, "train.txt", CELL_NAMES) if options.real else []
    validation = Samples(read_voc(options.bccd, "val.txt", CELL_NAMES))
    draw = partial(draw_smear, size_wh=(640, 480)) if options.real < 1 else None
    batches = Batches(_recipe(options), Samples(real).preload(), draw)
    start = start_training(options.start, CELL_NAMES, seed=options.seed)
    sys.stdout.write("\n".join(start.report) + "\n")
    thinned = [validation[index] for index in range(0, len(validation), options.thin)]
    result = train(_config(options), start.network, batches, thinned, options.stop_at)
    if result.interrupted:
        sys.stdout.write(f"stopped after step {result.step}; the same command goes on\n")
    else:
        _report(options, result, evaluate(predictor(result.average, options.canvas), validation, CELL_NAMES))
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    raise SystemExit(main())
