"""torch to raw ONNX: `images[B,3,H,W]` to `output[B,N,5+C]`, decoded boxes, proven before it is written.

Uses torch's current exporter (`torch.onnx.export(dynamo=True)`). Whatever fails raises; nothing is written
unless the ONNX checker accepts the file and ONNX Runtime gives what PyTorch gives.
"""

from __future__ import annotations

import ast
import copy
import logging
import math
import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from helpers.artifacts import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.network import Network

TOLERANCES = (0.05, 1e-4)  # pixels, score
# What the exporter is known to raise; its own kinds are RuntimeErrors.
_EXPORTER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip
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
    if len(size_wh) != 2 or not all(isinstance(side, int) for side in size_wh):
        raise ValueError(
            f"size_wh: expected two whole numbers, width and height, got {size_wh!r:.60}; e.g. (640, 640)"
        )
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
    network = copy.deepcopy(network).cpu().float().eval()
    with _without_torch_chatter():
        model = _tidy(_run_exporter(network, size_wh, dynamic_batch, opset), network, size_wh)
    found = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if found != opset:
        raise ExportError(
            f"opset: {opset} was asked for, torch's exporter wrote {found}. Fix: ask for {found}"
        )
    _prove(model, network, size_wh, batch=3 if dynamic_batch else 1)
    if path is not None:
        with atomic_path(path) as temporary:
            onnx.save(model, temporary)
    return model


def _run_exporter(
    network: Network, size_wh: tuple[int, int], dynamic_batch: bool, opset: int
) -> onnx.ModelProto:
    # Two pictures when the batch is open: torch would take a batch of one for a constant.
    channels = network.architecture.input_channels
    example = torch.zeros(2 if dynamic_batch else 1, channels, size_wh[1], size_wh[0])
    shapes = {"images_nchw": {0: torch.export.Dim("batch")}} if dynamic_batch else None
    try:
        program = torch.onnx.export(
            network, (example,), dynamo=True, opset_version=opset, input_names=["images"],
            output_names=["output"], dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
        model = program.model_proto if program is not None else None
    except _EXPORTER_ERRORS as error:
        size = f"{size_wh[0]}x{size_wh[1]}"
        reason = f"{type(error).__name__}: {str(error)[:400]}"
        raise ExportError(f"torch.onnx.export failed for {size}, opset {opset}: {reason}") from error
    if not isinstance(model, onnx.ModelProto):
        raise ExportError(
            f"torch.onnx.export: expected an ONNX model, got {type(model).__name__}; nothing was written"
        )
    return model


@contextmanager
def _without_torch_chatter() -> Iterator[None]:
    """Silence what torch 2.13's exporter says about itself; each line with its reason."""
    # The exporter's progress, and what the version converter tries; what counts is checked afterwards.
    loggers = {
        logging.getLogger(name): logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")
    }
    with warnings.catch_warnings():
        # torch.export's own use of a renamed pytree class; nothing a caller can change.
        warnings.filterwarnings("ignore", r".*LeafSpec.*", FutureWarning)
        # torch.jit, used inside the exporter, announces its own retirement.
        warnings.filterwarnings("ignore", r".*torch\.jit.*", DeprecationWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in loggers.items():
                logger.setLevel(level)


def _tidy(model: onnx.ModelProto, network: Network, size_wh: tuple[int, int]) -> onnx.ModelProto:
    """Name nodes by layer (`/model.0/conv/Conv`), drop traces (they hold local paths), add metadata."""
    seen: Counter[str] = Counter()
    for node in model.graph.node:
        props = {p.key: p.value for p in node.metadata_props}
        scopes = [s for s in ast.literal_eval(props.get(_SCOPES, "[]"))[:-1] if s]
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


def _prove(model: onnx.ModelProto, network: Network, size_wh: tuple[int, int], batch: int) -> None:
    """Check the model, and compare ONNX Runtime with PyTorch on a noise picture."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported model is invalid: {str(error)[:400]}") from error
    ports = [[value.name for value in values] for values in (model.graph.input, model.graph.output)]
    if ports != [["images"], ["output"]]:
        raise ExportError(f"the exported model: expected images -> output, got {ports[0]} -> {ports[1]}")
    rng = np.random.default_rng(7)
    shape = (batch, network.architecture.input_channels, size_wh[1], size_wh[0])
    images = rng.random(shape, dtype=np.float32)
    found = _run(model, images)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    if not np.isfinite(expected).all():
        raise ExportError("the network's own outputs are not finite. Fix: its weights hold NaN or infinity")
    if found.shape != expected.shape:
        raise ExportError(f"the exported model: expected an output {expected.shape}, got {found.shape}")
    if all(d <= limit for d, limit in zip(_differences(found, expected), TOLERANCES, strict=True)):
        return
    # Ill-conditioned weights (random ones, say) magnify rounding: then float64 is the judge, and ONNX may be
    # a few times further from it than PyTorch's own float32 is.
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(torch.from_numpy(images).double()).numpy()
    own, other = _differences(expected, exact), _differences(found, exact)
    if not all(b <= limit + 8 * a for a, b, limit in zip(own, other, TOLERANCES, strict=True)):
        raise ExportError(
            f"ONNX is {other[0]:.3g} px and {other[1]:.3g} in score from float64, PyTorch's float32 only "
            f"{own[0]:.3g} px and {own[1]:.3g}; not written"
        )


def _run(model: onnx.ModelProto, images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """What ONNX Runtime makes of the pictures."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
    )
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        (found,) = session.run(None, {"images": images})
    except tuple(getattr(state, kind) for kind in kinds) as error:
        raise ExportError(f"ONNX Runtime cannot run the exported model: {str(error)[:400]}") from error
    return np.asarray(found)


def _differences(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> tuple[float, float]:
    """Largest difference in pixels and in score; infinite if anything is not finite."""
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf, math.inf
    difference = np.abs(found - expected)
    return float(difference[..., :4].max()), float(difference[..., 4:].max())
