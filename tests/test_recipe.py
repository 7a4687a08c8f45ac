"""Names of files, and defaults that are the official exporter's."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.recipe import Files, Recipe

NAMES = {
    "raw": "best.onnx",
    "end2end": "best-end2end.onnx",
    "ultralytics": "best-ultralytics.onnx",
    "batched": "best-batched.onnx",
    "fp16": "best-fp16.onnx",
    "int8": "best-int8.onnx",
}


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_every_file_lies_in_the_models_folder(kind, name):
    assert getattr(Files.of("runs/best.pt", "made"), kind) == Path("made", "best", name)


def test_the_defaults_are_the_official_ones():
    recipe = Recipe()
    assert (recipe.size_wh, recipe.max_detections) == ((640, 640), 100)
    assert (recipe.iou_threshold, recipe.score_threshold) == (0.65, 0.35)
    assert (recipe.half, recipe.batched, recipe.dynamic_batch) == (False, False, False)
