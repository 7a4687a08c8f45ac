"""What the lesson on failures provokes, and how it finds out what went wrong: messages, boxes, inputs."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.artifacts import atomic_path
from helpers.course.place import repository
from helpers.images import letterbox, to_tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from helpers.checkpoint import Checkpoint

__all__ = ["MISTAKES", "Drift", "drift", "gone", "input_mistakes", "save_official", "told"]

_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)

# a drive, ~ or a server; folders, whose names may have spaces, but none after an ending; before a file's name
_FOLDER = re.compile(
    r"(?<![\w:/~])(?:[A-Za-z]:|~|\\(?=\\))?(?:[\\/](?:(?!\.[A-Za-z]\w* )[\w.+ -])*\w)*[\\/](?=\w[\w.+-]*\.\w)"
)


def told(error: BaseException, limit: int = 160) -> str:
    r"""An error in one line, the same on every machine: kind and message, without colours and folders.

    >>> told(FileNotFoundError("/home/me/work/best.onnx is\n  missing"))
    'FileNotFoundError: best.onnx is missing'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = _FOLDER.sub("", " ".join(text.split()))
    return f"{type(error).__name__}: {textwrap.shorten(text, limit, placeholder=' ...')}"


def save_official(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint as the official training does: a pickle of the whole model, classes by name.

    The classes are empty stand-ins that exist while the file is written; the layer table, the names and the
    weights are the checkpoint's. PyTorch cannot load the file; `helpers.load_checkpoint` reads it.

    Args:
        checkpoint: What to write.
        path: The `.pt`.
    """
    import torch

    plan = checkpoint.architecture
    homes = {name: types.ModuleType(name) for name in ("models", "models.common", "models.yolo")}
    root = _stand_in(homes, "models.yolo", "Model")
    for key, tensor in checkpoint.state_dict.items():
        *way, last = key.split(".")
        module = root
        for depth, step in enumerate(way):
            if step not in dict(module.named_children()):
                kind = plan.rows[int(step)].module if depth == 1 else "Part" if depth else "Layers"
                home = "models.yolo" if "Detect" in kind else "models.common"
                module.add_module(step, _stand_in(homes, home, kind))
            module = dict(module.named_children())[step]
        module.register_buffer(last, tensor.clone())
    parts = ((row.source, row.number, row.module, row.args) for row in plan.rows)
    rows = [[part if isinstance(part, int | str) else [*part] for part in row] for row in parts]
    root.__dict__["yaml"] = {
        "nc": len(plan.names), "depth_multiple": plan.depth_multiple, "backbone": rows, "head": [],
        "width_multiple": plan.width_multiple, "ch": plan.input_channels,
    }  # fmt: skip
    root.__dict__ |= {"names": list(plan.names), "stride": torch.tensor([float(s) for s in plan.strides])}
    before = {name: sys.modules[name] for name in homes if name in sys.modules}
    sys.modules.update(homes)
    try:
        with atomic_path(path) as temporary:
            torch.save({"epoch": -1, "model": root, "ema": None, "optimizer": None}, temporary)
    finally:
        for name in homes:
            del sys.modules[name]
        sys.modules.update(before)


def _stand_in(homes: Mapping[str, types.ModuleType], home: str, kind: str) -> Any:
    """An empty module of a class that pickles as `home.kind`."""
    import torch

    name = kind.removeprefix("nn.")
    if not hasattr(homes[home], name):
        setattr(homes[home], name, type(name, (torch.nn.Module,), {"__module__": home}))
    return getattr(homes[home], name)()


def gone(script: str, tensorrt: str | types.ModuleType) -> list[str]:
    """Names that a script takes from `trt` and that a TensorRT does not have, in the script's order.

    Args:
        script: Python; read, not run.
        tensorrt: `10.16` or `11.4`, known from the type stubs of their bindings; or the imported module.

    >>> gone("config.set_flag(trt.BuilderFlag.FP16)", "11.4"), gone("trt.BuilderFlag.TF32", "11.4")
    (['trt.BuilderFlag.FP16'], [])
    """
    has = _has if isinstance(tensorrt, types.ModuleType) else _stub_has
    surface: Any = tensorrt if isinstance(tensorrt, types.ModuleType) else _stub(tensorrt)
    used = (ast.unparse(node) for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Attribute))
    names = dict.fromkeys(name for name in used if re.fullmatch(r"trt(?:\.\w+)+", name))
    missing = [name for name in names if not has(surface, name.split(".")[1:])]
    return [name for name in missing if name.rpartition(".")[0] not in missing]


def _has(surface: object, steps: list[str]) -> bool:
    for step in steps:
        if not hasattr(surface, step):
            return False
        surface = getattr(surface, step)
    return True


def _stub(version: str) -> ast.Module:
    path = repository() / "stubs" / f"tensorrt-{version}" / "tensorrt" / "__init__.pyi"
    if not path.is_file():
        known = sorted(p.name.removeprefix("tensorrt-") for p in path.parents[2].glob("tensorrt-*"))
        raise ValueError(f"tensorrt: expected one of {known} or the module, got {version!r}. Fix: name one")
    return ast.parse(path.read_text("utf-8"))


def _stub_has(surface: ast.Module | ast.ClassDef, steps: list[str]) -> bool:
    """Like `_has`; what a class inherits and what lies within an instance is taken for granted."""
    if not steps:
        return True
    if isinstance(surface, ast.ClassDef) and surface.bases:
        return True
    members: dict[str, ast.stmt] = {}
    for item in surface.body:
        if isinstance(item, ast.ClassDef | ast.FunctionDef):
            members[item.name] = item
        elif isinstance(item, ast.AnnAssign):
            members[ast.unparse(item.target)] = item
    found = members.get(steps[0])
    return _stub_has(found, steps[1:]) if isinstance(found, ast.ClassDef) else found is not None


@dataclass(frozen=True)
class Drift:
    """How boxes lie to where they should lie: `found = scale x expected + shift`, for each axis.

    Attributes:
        scale_xy: 1 where nothing is scaled.
        shift_xy: Pixels.
        worst_px: What that does not explain, at most; large where the boxes differ in another way.
    """

    scale_xy: tuple[float, float]
    shift_xy: tuple[float, float]
    worst_px: float


def drift(found_xyxy: ArrayLike, expected_xyxy: ArrayLike) -> Drift:
    """Fit scale and shift of each axis to pairs of boxes, by least squares.

    Args:
        found_xyxy: `[n, 4]`, pixels.
        expected_xyxy: `[n, 4]`, the same boxes in the same order, where they should be.

    Raises:
        ValueError: No boxes, or not as many.

    >>> drift([[10, 0, 30, 5]], [[0, 0, 10, 5]])
    Drift(scale_xy=(2.0, 1.0), shift_xy=(10.0, 0.0), worst_px=0.0)
    """
    found, expected = (
        np.asarray(boxes, np.float64).reshape(-1, 2, 2) for boxes in (found_xyxy, expected_xyxy)
    )
    if len(found) != len(expected) or not len(found):
        raise ValueError(
            f"boxes: expected as many of each, and some, got {len(found)} and {len(expected)}. Fix: match"
        )
    scale, shift, worst = [], [], 0.0
    for axis in (0, 1):
        a, b = expected[..., axis].ravel(), found[..., axis].ravel()
        slope = float(((a - a.mean()) * (b - b.mean())).sum() / ((a - a.mean()) ** 2).sum())
        scale.append(round(slope, 4) + 0.0)
        shift.append(round(float(b.mean() - slope * a.mean()), 2) + 0.0)  # no -0.0
        worst = max(worst, float(np.abs(slope * (a - a.mean()) + b.mean() - b).max()))
    return Drift((scale[0], scale[1]), (shift[0], shift[1]), round(worst, 2))


def _planes(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture that was reshaped to `[1, 3, H, W]`, where its axes should have been transposed."""
    _, channels, height, width = tensor.shape
    return tensor.reshape(1, height, width, channels).transpose(0, 3, 1, 2)


MISTAKES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "0 to 255, not divided": lambda x: x / np.float32(255),
    "divided by 255 twice": lambda x: x * np.float32(255),
    "-1 to 1 instead of 0 to 1": lambda x: np.asarray((x + 1) / 2, np.float32),
    "ImageNet's mean and deviation": lambda x: x * _DEVIATION + _MEAN,
    "bytes with a sign": lambda x: np.where(x < 0, x + np.float32(256 / 255), x),
    "BGR instead of RGB": lambda x: x[:, ::-1],
    "reshaped instead of transposed": _planes,
    "height and width swapped": lambda x: x.transpose(0, 1, 3, 2),
}
"""A mistake in the input, and what undoes it."""


def input_mistakes(
    tensor: ArrayLike, image_bgr: NDArray[np.uint8], size_wh: tuple[int, int]
) -> list[str] | None:
    """What is wrong with a network's input, found by undoing known mistakes until it is the right one.

    Args:
        tensor: The input in question.
        image_bgr: The picture it was made of.
        size_wh: Of the network's input, pixels.

    Returns:
        Nothing where it is right; one mistake, or two that come together; None where that explains nothing.
    """
    import cv2

    given = np.asarray(tensor)
    right = to_tensor(letterbox(image_bgr, size_wh).image_bgr)
    if given.shape != right.shape:
        swapped = given.ndim == 4 and given.transpose(0, 3, 1, 2).shape == right.shape
        return ["channels last"] if swapped else [f"shape {list(given.shape)} instead of {list(right.shape)}"]
    given = given.astype(np.float32)
    stretched = to_tensor(np.asarray(cv2.resize(image_bgr, size_wh), np.uint8))
    for aim, beside in ((right, []), (stretched, ["stretched, without a letterbox"])):
        for names in ((), *((name,) for name in MISTAKES), *combinations(MISTAKES, 2)):
            if _undone(given, names, aim):
                return [*names, *beside]
    return None


def _undone(tensor: NDArray[np.float32], names: tuple[str, ...], aim: NDArray[np.float32]) -> bool:
    """Whether undoing these mistakes gives the aim, to two grey levels on average."""
    for name in names:
        tensor = MISTAKES[name](tensor)
    return tensor.shape == aim.shape and float(np.abs(tensor - aim).mean()) < 2 / 255
