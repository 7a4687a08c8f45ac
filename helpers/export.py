"""torch to raw ONNX: `images[B,3,H,W]` to `output[B,N,5+C]`, decoded boxes, proven before it is written.

Uses torch's current exporter (`torch.onnx.export(dynamo=True)`). Whatever fails raises; nothing is written
unless the ONNX checker accepts the file and ONNX Runtime gives what PyTorch gives.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from helpers.artifacts import atomic_path
from helpers.network import Network

TOLERANCES = (0.05, 1e-4)  # pixels, score
_SCOPES = "pkg.torch.onnx.name_scopes"


class ExportError(RuntimeError):
    """The export failed or its result differs from PyTorch; no file was written."""


def check_size(size_wh: tuple[int, int], stride: int) -> None:
    """Refuse an input size that is not a multiple of the largest stride.

    Args:
        size_wh: Width and height in pixels.
        stride: The network's largest stride.

    Raises:
        ValueError: With the nearest size that works.

    Example:
        >>> check_size((640, 360), 32)
        Traceback (most recent call last):
        ValueError: size_wh: expected positive multiples of 32, got 640x360; nearest valid size: 640x352
    """
    nearest = tuple(max(stride, round(side / stride) * stride) for side in size_wh)
    if nearest != tuple(size_wh):
        raise ValueError(
            f"size_wh: expected positive multiples of {stride}, got {size_wh[0]}x{size_wh[1]}; "
            f"nearest valid size: {nearest[0]}x{nearest[1]}"
        )


def export_onnx(
    network: Network,
    path: str | Path | None = None,
    *,
    size_wh: tuple[int, int] = (640, 640),
    dynamic_batch: bool = False,
    opset: int = 18,
) -> onnx.ModelProto:
    """Export a network to the raw graph `images[B,3,H,W] -> output[B,N,5+C]`.

    Args:
        network: The network; export a fused one (`helpers.network.fuse`), it is smaller and faster.
        path: Where to write the file, atomically; `None` only returns the model.
        size_wh: Input width and height in pixels, multiples of the largest stride.
        dynamic_batch: Leave the first dimension open (named `batch`); otherwise it is 1.
        opset: ONNX operator set, 18 or newer.

    Returns:
        The model. Its metadata holds `names`, `stride` and `imgsz`.

    Raises:
        ValueError: A size or opset that cannot work; the message names one that does.
        ExportError: torch's exporter failed, or the result is invalid or differs from PyTorch by more than
            0.05 px or 1e-4 in score and is also much further from float64 than PyTorch's float32.
    """
    check_size(size_wh, max(network.strides))
    if opset < 18:
        raise ValueError(f"opset: expected 18 or newer (torch's exporter writes no older one), got {opset}")
    # Two pictures when the batch is open: torch would take a batch of one for a constant.
    example = torch.zeros(2 if dynamic_batch else 1, 3, size_wh[1], size_wh[0])
    shapes = {"images_nchw": {0: torch.export.Dim("batch")}} if dynamic_batch else None
    with _without_torch_chatter():
        try:
            program = torch.onnx.export(
                network.eval(), (example,), dynamo=True, opset_version=opset, input_names=["images"],
                output_names=["output"], dynamic_shapes=shapes, verbose=False,
            )  # fmt: skip
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
            raise ExportError(f"torch.onnx.export failed for {size_wh[0]}x{size_wh[1]}, opset {opset}: {error}") from error
    if program is None:
        raise ExportError("torch.onnx.export returned nothing")
    model = _tidy(program.model_proto, network, size_wh)
    _prove(model, network, size_wh, batch=2 if dynamic_batch else 1)
    if path is not None:
        with atomic_path(path) as temporary:
            onnx.save(model, temporary)
    return model


@contextmanager
def _without_torch_chatter() -> Iterator[None]:
    """Silence what torch 2.13's exporter says about itself; each line with its reason."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        # torch.export's own use of a renamed pytree class; nothing a caller can change.
        warnings.filterwarnings("ignore", r".*LeafSpec.*", FutureWarning)
        # torch.jit, used inside the exporter, announces its own retirement.
        warnings.filterwarnings("ignore", r".*torch\.jit.*", DeprecationWarning)
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _tidy(model: onnx.ModelProto, network: Network, size_wh: tuple[int, int]) -> onnx.ModelProto:
    """Name nodes by layer (`/model.0/conv/Conv`), drop torch's traces (they hold local paths), add metadata."""
    seen: Counter[str] = Counter()
    for node in model.graph.node:
        props = {p.key: p.value for p in node.metadata_props}
        scopes = [s for s in _parse_list(props.get(_SCOPES, "[]"))[:-1] if s]
        base = f"/{scopes[-1].replace('.', '/').replace('model/', 'model.', 1)}" if scopes else "/decode"
        name = f"{base}/{node.op_type}"
        node.name = f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1
        del node.metadata_props[:]
        node.doc_string = ""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del value.metadata_props[:]
    del model.metadata_props[:], graph.metadata_props[:], model.functions[:]
    graph.name, graph.doc_string, model.doc_string = "yolov7", "", ""
    metadata = {
        "names": repr(dict(enumerate(network.names))),
        "stride": str(max(network.strides)),
        "imgsz": repr([size_wh[1], size_wh[0]]),
    }
    onnx.helper.set_model_props(model, metadata)
    return model


def _parse_list(text: str) -> list[str]:
    """torch writes a list of names as Python text with single quotes."""
    loaded: list[str] = json.loads(text.replace("'", '"'))
    return loaded


def _prove(model: onnx.ModelProto, network: Network, size_wh: tuple[int, int], batch: int) -> None:
    """Check the model, and compare ONNX Runtime with PyTorch on a noise picture."""
    import onnxruntime

    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the exported model is invalid: {error}") from error
    rng = np.random.default_rng(7)
    images = rng.random((batch, 3, size_wh[1], size_wh[0]), dtype=np.float32)
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images})
    with torch.no_grad():
        expected = network.float()(torch.from_numpy(images)).numpy()
    if all(d <= limit for d, limit in zip(_differences(found, expected), TOLERANCES, strict=True)):
        return
    # Ill-conditioned weights (random ones, say) magnify rounding: then float64 is the judge, and ONNX may be
    # a few times further from it than PyTorch's own float32 is.
    with torch.no_grad():
        exact = network.double()(torch.from_numpy(images).double()).numpy()
    network.float()
    own, other = _differences(expected, exact), _differences(found, exact)
    if not all(b <= limit + 8 * a for a, b, limit in zip(own, other, TOLERANCES, strict=True)):
        raise ExportError(
            f"ONNX is {other[0]:.3g} px and {other[1]:.3g} in score from float64, PyTorch's float32 only "
            f"{own[0]:.3g} px and {own[1]:.3g}; not written"
        )


def _differences(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> tuple[float, float]:
    """Largest difference in pixels and in score; infinite if anything is not finite."""
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf, math.inf
    difference = np.abs(found - expected)
    return float(difference[..., :4].max()), float(difference[..., 4:].max())
