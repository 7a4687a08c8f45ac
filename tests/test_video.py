"""Frames in and out."""

import numpy as np
import pytest

from helpers.images import ImageError
from helpers.video import frame_rate, read_frames, write_video


def frames(count=7, size_wh=(64, 48)):
    for number in range(count):
        yield np.full((size_wh[1], size_wh[0], 3), 30 * number, np.uint8)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm"])
def test_there_and_back(tmp_path, suffix):
    path = tmp_path / "neu" / f"a{suffix}"
    assert write_video(path, frames(), frames_per_second=10) == 7
    assert frame_rate(path) == pytest.approx(10)
    back = list(read_frames(path))
    assert [number for number, _ in back] == list(range(7))
    for number, image_bgr in back:
        assert image_bgr.shape == (48, 64, 3)
        assert abs(image_bgr.mean() - 30 * number) < 8
    assert [number for number, _ in read_frames(path, every=3)] == [0, 3, 6]


def test_refusals(tmp_path):
    with pytest.raises(ImageError, match="no file there"):
        next(read_frames(tmp_path / "a.mp4"))
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(ImageError, match=r"OpenCV cannot read this one"):
        frame_rate(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        next(read_frames(tmp_path / "a.mp4", every=0))
    with pytest.raises(ImageError, match=r"no codec for the suffix '\.gif'"):
        write_video(tmp_path / "a.gif", frames())
    with pytest.raises(ImageError, match="no frames to write"):
        write_video(tmp_path / "a.avi", [])
    with pytest.raises(ImageError, match=r"expected frames of \(64, 48\) pixels, got \(48, 64\) at frame 2"):
        write_video(tmp_path / "a.avi", [*frames(2), *frames(1, (48, 64))])
    assert not list(tmp_path.glob("*.avi"))


def test_a_broken_run_leaves_the_old_video_alone(tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(b"before")
    with pytest.raises(ImageError, match="expected frames of"):
        write_video(path, [*frames(2), *frames(1, (48, 64))])
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"before"]
