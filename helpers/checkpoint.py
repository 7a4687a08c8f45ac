"""Read official YOLOv7 checkpoints without running their pickle; read and write our `.safetensors`.

An official `.pt` is a zip whose `data.pkl` pickles a whole module of classes from `models.yolo` and
`models.common`. `helpers.pickles` reads it as data, `helpers.archive` rebuilds the tensors; here the layer
table, the names and the weights are picked out of it. Nothing of the file runs.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from helpers.archive import Archive, TensorView, recognize
from helpers.artifacts import atomic_path
from helpers.family import Architecture, LayerRow, check_rows, parse_rows
from helpers.pickles import CheckpointError, Record, read_pickle

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "save_checkpoint"]

_DAMAGE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
# Official: 1,000 modules and 5 deep at most, 263 rows of a few numbers each, 48 anchor sides.
_MAX_MODULES, _MAX_DEPTH, _MAX_LAYERS, _MAX_VALUES = 20_000, 16, 2_000, 200


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's architecture and weights.

    Attributes:
        architecture: Layer table, class names, anchors, strides.
        state_dict: Official parameter names (`model.0.conv.weight`, ...) to tensors, as stored.
        metadata: Free text carried along (`.safetensors` only).
    """

    architecture: Architecture
    state_dict: dict[str, Tensor] = field(repr=False)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the class scores."""
        return self.architecture.names


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint: an official `.pt` (deploy or training form) or our `.safetensors`.

    Args:
        path: The file. If a training file holds an EMA model, that one is read, as the official code does.

    Returns:
        Architecture and weights, as stored (official files hold float16).

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is not such a checkpoint, or it is damaged or hostile; nothing of it was run.

    Example:
        >>> import tempfile, pathlib
        >>> page = pathlib.Path(tempfile.mkdtemp(), "best.pt")
        >>> _ = page.write_text("<!DOCTYPE html><title>404</title>")
        >>> load_checkpoint(page)
        Traceback (most recent call last):
        helpers.pickles.CheckpointError: ...: an HTML page, not a checkpoint; ...
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"checkpoint: expected a file, got {path} (none there). Fix: check the path")
    if not path.is_file():
        found = "a folder" if path.is_dir() else "a device or pipe"
        raise CheckpointError(f"{path}: expected a checkpoint file, got {found}. Fix: name a file")
    wanted, found = "safetensors" if path.suffix == ".safetensors" else "a zip", recognize(path)
    if found != wanted:
        kind = "our .safetensors" if wanted == "safetensors" else "a zip as torch.save writes it"
        raise CheckpointError(f"{path}: {found}, not a checkpoint; expected {kind}. Fix: name another file")
    return _load_safetensors(path) if wanted == "safetensors" else _load_official(path)


def _load_official(path: Path) -> Checkpoint:
    with Archive(path) as archive:
        content = read_pickle(archive.read_pickle_bytes(), str(path), archive.rules())
        model, table = _find_model(path, content)
        try:
            views = _collect(path, model)
            archive.check_total(views.values())
            state_dict = {name: archive.tensor(view) for name, view in views.items()}
            stride = model.state["stride"]
            strides = _few(archive.tensor(stride)).tolist() if isinstance(stride, TensorView) else stride
            return Checkpoint(_architecture(model.state["names"], table, state_dict, strides), state_dict)
        except CheckpointError:
            raise
        except _DAMAGE as error:
            _refuse(path, error, "layer table")


def _refuse(path: Path, error: Exception, what: str) -> NoReturn:
    reason = f"{type(error).__name__}: missing {error}" if isinstance(error, KeyError) else str(error)
    raise CheckpointError(
        f"{path}: its {what} is damaged or not understood ({reason[:300]}). Fix: get the file again"
    ) from error


def _find_model(path: Path, content: Any) -> tuple[Record, dict[str, Any]]:
    """The model's record and its layer table."""
    if not isinstance(content, dict):
        found = content.kind if isinstance(content, Record) else type(content).__name__
        raise CheckpointError(f"{path}: expected a dict with a `model`, got a {found}. Fix: use another file")
    model = content.get("ema") or content.get("model")
    if not isinstance(model, Record):
        values = (model if isinstance(model, dict) else content).values()
        tensors = sum(isinstance(value, TensorView) for value in values)
        keys = ", ".join(str(key)[:30] for key in list(content)[:5]) or "none"
        kind = (
            f"a bare state dict ({tensors} tensors, no layer table)" if tensors else f"no model, but {keys}"
        )
        raise CheckpointError(
            f"{path}: {kind}. Expected the whole model, as the official train.py saves it. "
            "Fix: take the .pt file of the training run itself"
        )
    table = model.state.get("yaml")
    if not isinstance(table, dict) or not {"backbone", "head"} <= table.keys():
        raise CheckpointError(
            f"{path}: its {model.kind} has no layer table (`yaml`). Expected a YOLOv7 detection model. "
            "Fix: use a checkpoint of the official repository"
        )
    return model, table


def _collect(path: Path, model: Record) -> dict[str, TensorView]:
    """All parameters and buffers by their official names."""
    found: dict[str, TensorView] = {}
    waiting, count = deque([(model, "", 0)]), 0
    while waiting:
        record, prefix, depth = waiting.popleft()
        count += 1
        if count > _MAX_MODULES or depth > _MAX_DEPTH:
            raise CheckpointError(f"{path}: its modules are nested endlessly. Fix: get the file again")
        for group in ("_parameters", "_buffers"):
            for name, value in (record.state.get(group) or {}).items():
                if isinstance(value, TensorView):
                    found[f"{prefix}{name}"] = value
        for name, child in (record.state.get("_modules") or {}).items():
            if isinstance(child, Record):
                waiting.append((child, f"{prefix}{name}.", depth + 1))
    return found


def _architecture(
    names: Any, table: dict[str, Any], state: dict[str, Tensor], strides: Sequence[Any]
) -> Architecture:
    rows = _rows([*table["backbone"], *table["head"]])
    check_rows(rows)
    if (layers := sum(max(row.number * table["depth_multiple"], 1) for row in rows)) > _MAX_LAYERS:
        raise ValueError(f"layers: expected at most {_MAX_LAYERS}, got {layers:.0f}")
    names = [names[index] for index in range(len(names))] if isinstance(names, dict) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str | int) for name in names):
        raise ValueError("names: expected a list of text")
    if len(names) != table["nc"]:
        raise ValueError(f"{len(names)} class names for {table['nc']} classes")
    grid = _few(state[f"model.{len(rows) - 1}.anchor_grid"]).double()
    anchors = tuple(tuple((w, h) for w, h in level) for level in grid.reshape(len(grid), -1, 2).tolist())
    if [int(s) for s in strides] != list(strides):
        raise ValueError("strides: expected whole numbers")
    return Architecture(
        rows, tuple(map(str, names)), anchors, tuple(int(s) for s in strides),
        float(table["width_multiple"]), float(table["depth_multiple"]), int(table.get("ch", 3)),
    )  # fmt: skip


def _rows(table: list[Any]) -> tuple[LayerRow, ...]:
    """Parse the layer table; one list that stands in it a million times would fill the memory."""
    parts = (part for row in table if isinstance(row, list) for part in row if isinstance(part, list))
    if len(table) > _MAX_LAYERS or any(len(part) > _MAX_VALUES for part in parts):
        raise ValueError(f"layers: expected at most {_MAX_LAYERS} rows of {_MAX_VALUES} values, got more")
    return parse_rows(table)


def _few(numbers: Tensor) -> Tensor:
    if numbers.numel() > _MAX_VALUES:
        raise ValueError(f"anchors, strides: expected at most {_MAX_VALUES}, got {numbers.numel()}")
    return numbers


def save_checkpoint(
    checkpoint: Checkpoint, path: str | Path, *, dtype: torch.dtype | None = torch.float16
) -> None:
    """Write a `.safetensors` file that `load_checkpoint` reads; atomically.

    Args:
        checkpoint: What to write.
        path: Target; must end in `.safetensors`.
        dtype: Type of the floating-point tensors in the file; `None` keeps each as it is.

    Raises:
        CheckpointError: Another ending.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"path: expected a name in .safetensors, got {path.name}. Fix: rename it")
    a = checkpoint.architecture
    description = {
        "rows": [[r.source, r.number, r.module, r.args] for r in a.rows], "names": a.names,
        "anchors_px": a.anchors_px, "strides": a.strides, "width_multiple": a.width_multiple,
        "depth_multiple": a.depth_multiple, "input_channels": a.input_channels, "name": a.name,
    }  # fmt: skip
    tensors = {
        key: (value.to(dtype) if dtype and value.is_floating_point() else value).contiguous().clone()
        for key, value in checkpoint.state_dict.items()
    }
    with atomic_path(path) as temporary:
        text = json.dumps(description, sort_keys=True)
        save_file(tensors, temporary, {**checkpoint.metadata, "yolov7": text})


def _load_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        _refuse(path, error, "content")
    if "yolov7" not in metadata:
        raise CheckpointError(
            f"{path}: safetensors without this project's `yolov7` description, so without a layer table. "
            "Fix: use a file that helpers.checkpoint.save_checkpoint wrote"
        )
    try:
        d = json.loads(metadata.pop("yolov7"))
        anchors = tuple(tuple((float(w), float(h)) for w, h in level) for level in d["anchors_px"])
        architecture = Architecture(
            _rows(d["rows"]), tuple(d["names"]), anchors, tuple(d["strides"]), d["width_multiple"],
            d["depth_multiple"], d["input_channels"], d["name"],
        )  # fmt: skip
    except _DAMAGE as error:
        _refuse(path, error, "`yolov7` description")
    return Checkpoint(architecture, tensors, metadata)
