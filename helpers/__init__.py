"""Everything the YOLOv7 graph-surgery course does, as a small importable package.

The main names are reachable from here and are loaded on first use, so that `import helpers` costs next to
nothing and touches neither torch nor TensorRT:

>>> import helpers
>>> len(helpers.Detections.empty())
0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.checkpoint import Checkpoint, load_checkpoint
    from helpers.detections import Detections
    from helpers.detector import Detector, PictureResult
    from helpers.drawing import draw, show
    from helpers.export import export_onnx
    from helpers.images import letterbox, load_image
    from helpers.network import build_network

__version__ = "0.1.0"

_HOME_OF_NAME = {
    "Checkpoint": "helpers.checkpoint",
    "load_checkpoint": "helpers.checkpoint",
    "Detections": "helpers.detections",
    "Detector": "helpers.detector",
    "PictureResult": "helpers.detector",
    "draw": "helpers.drawing",
    "show": "helpers.drawing",
    "export_onnx": "helpers.export",
    "letterbox": "helpers.images",
    "load_image": "helpers.images",
    "build_network": "helpers.network",
}

__all__ = [
    "Checkpoint",
    "Detections",
    "Detector",
    "PictureResult",
    "__version__",
    "build_network",
    "draw",
    "export_onnx",
    "letterbox",
    "load_checkpoint",
    "load_image",
    "show",
]


def __getattr__(name: str) -> Any:
    """Load one of the main names from its module on first use."""
    if name not in _HOME_OF_NAME:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}; main names: {', '.join(__all__)}")
    value = getattr(import_module(_HOME_OF_NAME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names for tab completion: what is loaded and what would be."""
    return sorted({*globals(), *__all__})
