"""Samples: shapes that belong together, pictures read once, pictures that are missing or broken."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_folders import picture

from helpers.training.samples import Annotation, DatasetError, Sample, Samples

NONE = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)


def test_no_samples():
    assert len(Samples([])) == 0
    assert list(Samples([]).preload()) == []


def test_samples_decode_once(tmp_path):
    paths = [picture(tmp_path / name) for name in ("a.png", "b.png")]
    samples = Samples([Annotation(path, *NONE) for path in paths])
    assert len(samples) == 2
    assert samples.preload() is samples
    for path in paths:
        path.unlink()
    assert samples[1] is samples[-1]
    assert samples[0].image_bgr.mean() != samples[1].image_bgr.mean()
    with pytest.raises(IndexError):
        samples[2]


def test_a_sample_has_its_boxes_and_its_size(tmp_path):
    boxes, class_ids = np.array([[1, 2, 30, 40]], np.float32), np.array([4])
    sample = Annotation(picture(tmp_path / "a.png"), boxes, class_ids).load()
    assert (sample.size_wh, len(sample)) == ((64, 48), 1)
    assert sample.boxes_xyxy.tolist() == boxes.tolist()
    assert sample.class_ids.tolist() == [4]


@pytest.mark.parametrize("text", [None, "", "<html>not found</html>"])
def test_missing_or_broken_picture(tmp_path, text):
    path = tmp_path / "a.jpg"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DatasetError, match=r"expected a readable image.*Fix: fetch"):
        Annotation(path, *NONE).load()


@pytest.mark.parametrize(
    "shapes", [((4, 4), (0, 4), (0,)), ((4, 4, 4), (0, 4), (0,)), ((4, 4, 3), (1, 4), (2,))]
)
def test_sample_refuses_shapes_that_do_not_belong_together(shapes):
    image, boxes, class_ids = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="Sample: expected"):
        Sample(image.astype(np.uint8), boxes.astype(np.float32), class_ids.astype(np.int64))
