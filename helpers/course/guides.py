"""The guides' own example, yolov7-tiny on Ultralytics' bus, where it can run."""

from __future__ import annotations

from helpers.course.picker import CourseModel
from helpers.course.pictures import NamedPicture, bus
from helpers.course.place import is_checked, say
from helpers.download import DownloadError

__all__ = ["guide_example"]


def guide_example() -> tuple[CourseModel, NamedPicture] | None:
    """The model and the picture of the guides; None, and one line says why, where they are not to be had.

    While outputs are checked or committed it never runs: the official weights are a download, and not ours to
    bundle.
    """
    if is_checked():
        say("not run: yolov7-tiny is a download, which checked outputs do without (outside a check it runs)")
        return None
    model, picture = CourseModel("yolov7-tiny"), bus()
    if picture is None:
        say('not run: Ultralytics, which brings bus.jpg, is not installed (pip install ".[ultralytics]")')
        return None
    try:
        _ = model.checkpoint
    except DownloadError as error:
        reason, _, fix = str(error).partition(". Fix: ")
        say(f"not run: {reason.partition(' (')[0]}; {fix}")
        return None
    return model, picture
