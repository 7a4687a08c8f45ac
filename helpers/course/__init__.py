"""What only the lessons use: environment check, model picker, exercise checks, charts, the headless runner.

>>> from helpers import course
>>> course.relative(course.repository() / "build" / "x.onnx")
'build/x.onnx'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helpers.course.place import is_checked, is_headless, relative, repository, say

if TYPE_CHECKING:
    from helpers.course.environment import check
    from helpers.course.needs import need
    from helpers.course.picker import CourseModel, pick_model
    from helpers.course.pictures import NamedPicture, drawn, photographs
    from helpers.course.widgets import choose, slider, upload

_HOME_OF_NAME = {
    "check": "helpers.course.environment",
    "CourseModel": "helpers.course.picker",
    "need": "helpers.course.needs",
    "pick_model": "helpers.course.picker",
    "NamedPicture": "helpers.course.pictures",
    "drawn": "helpers.course.pictures",
    "photographs": "helpers.course.pictures",
    "choose": "helpers.course.widgets",
    "slider": "helpers.course.widgets",
    "upload": "helpers.course.widgets",
}

__all__ = [
    "CourseModel",
    "NamedPicture",
    "check",
    "choose",
    "drawn",
    "is_checked",
    "is_headless",
    "need",
    "photographs",
    "pick_model",
    "relative",
    "repository",
    "say",
    "slider",
    "upload",
]


def __getattr__(name: str) -> Any:
    """Load one of the names above from its module on first use."""
    if name not in _HOME_OF_NAME:
        raise AttributeError(
            f"module 'helpers.course' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return getattr(import_module(_HOME_OF_NAME[name]), name)
