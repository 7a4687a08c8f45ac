"""Train the bundled model: `python -m helpers.training --bccd FOLDER --out FOLDER`; run it again to go on."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import torch

from helpers.checkpoint import Checkpoint, save_checkpoint
from helpers.family import Tiny
from helpers.network import build_network
from helpers.training.batches import Batches, BatchRecipe
from helpers.training.datasets import CELL_NAMES, Sample, Samples, read_voc
from helpers.training.evaluation import evaluate
from helpers.training.loop import TrainingConfig, train
from helpers.training.loss import set_prior_bias
from helpers.training.prediction import predictor
from helpers.training.smears import draw_smear

if TYPE_CHECKING:
    from collections.abc import Callable


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.training", description=__doc__)
    parser.add_argument(
        "--bccd", type=Path, required=True, help="folder with JPEGImages, Annotations, train.txt, val.txt"
    )
    parser.add_argument("--out", type=Path, default=Path("build/train"), help="folder of the run")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=416, help="side of the training windows in pixels")
    parser.add_argument("--canvas", type=int, default=640, help="input size at detection, in pixels")
    parser.add_argument("--peak", type=float, default=0.002, help="highest learning rate")
    parser.add_argument("--real", type=float, default=0.7, help="share of photographs among the pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")
    parser.add_argument("--evaluate-every", type=int, default=500, help="steps between running evaluations")
    parser.add_argument("--stop-at", type=int, default=None, help="stop after this step; run again to go on")
    return parser


def _draw(size_wh: tuple[int, int]) -> Callable[[int], Sample]:
    return lambda seed: draw_smear(seed, size_wh)


def main() -> int:
    """Train, evaluate on all validation pictures, and write `weights.safetensors` and `report.json`."""
    options = arguments().parse_args()
    cv2.setNumThreads(0)
    torch.manual_seed(options.seed)
    training = Samples(read_voc(options.bccd, "train.txt", CELL_NAMES)).preload()
    validation = Samples(read_voc(options.bccd, "val.txt", CELL_NAMES))
    architecture = Tiny().architecture(CELL_NAMES)
    network = build_network(architecture)
    set_prior_bias(network, len(CELL_NAMES))
    recipe = BatchRecipe(
        batch=options.batch, size=options.size, canvas=options.canvas, steps=options.steps,
        real_fraction=options.real, seed=options.seed,
    )  # fmt: skip
    config = TrainingConfig(
        out=options.out, steps=options.steps, peak=options.peak, workers=options.workers, seed=options.seed,
        warmup=min(200, options.steps // 10 + 1), evaluate_every=options.evaluate_every,
        evaluate_size=options.canvas,
    )  # fmt: skip
    batches = Batches(recipe, training, _draw((640, 480)))
    result = train(
        config,
        network,
        batches,
        [validation[index] for index in range(0, len(validation), 3)],
        options.stop_at,
    )
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in result.average.state_dict().items()
    }
    save_checkpoint(Checkpoint(architecture, weights), options.out / "weights.safetensors")
    report = evaluate(predictor(result.average, options.canvas), validation, CELL_NAMES)
    figures = {
        "steps": result.step, "seconds": round(result.seconds), "AP50": report.ap50, "AP": report.ap,
        "AP75": report.ap75, "AP50_per_class": dict(report.ap50_per_class),
        "AP_per_class": dict(report.ap_per_class),
    }  # fmt: skip
    (options.out / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    raise SystemExit(main())
