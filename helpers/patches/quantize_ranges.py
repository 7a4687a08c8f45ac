"""Calibration: which numbers really flow through the network, by ONNX Runtime's own calibrator."""

from __future__ import annotations

import contextlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from helpers.images import letterbox, to_tensor
from helpers.patches import PatchError
from helpers.patches.quantize_network import cut_network, picture_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnxruntime
    from numpy.typing import NDArray

__all__ = ["Ranges", "calibrate", "network_inputs"]

PERCENTILE = 99.999  # of the values; what lies beyond is clipped
ALIKE = ("Concat", "MaxPool", "Resize")  # give on what they read


@dataclass(frozen=True)
class Ranges:
    """What calibration saw.

    Attributes:
        limits: For each value of the network the least and the greatest number that INT8 has to reach.
        histograms: Counts and bin edges of the same values.
        inputs: The pictures as the network reads them, `float32[1,3,H,W]` each.
    """

    limits: Mapping[str, tuple[float, float]]
    histograms: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float32]]]
    inputs: Sequence[NDArray[np.float32]]


def network_inputs(
    model: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]]
) -> list[NDArray[np.float32]]:
    """Pictures, `uint8[H,W,3]` in BGR, letterboxed to the input of a graph: `float32[1,3,H,W]` each.

    Raises:
        PatchError: no pictures, or something else than pictures.
    """
    size_wh, found = picture_size(model), list(pictures)
    strange = [
        each for each in found if not (isinstance(each, np.ndarray) and each.dtype == np.uint8
        and each.ndim == 3 and each.shape[2] == 3 and each.size)
    ]  # fmt: skip
    if not found or strange:
        kind = f"{strange[0].dtype}{list(strange[0].shape)}" if found and hasattr(strange[0], "dtype") else ""
        got = kind or (type(strange[0]).__name__ if found else "none")
        fix = "pass what the detector will see: four pictures do, a few dozen are better"
        raise PatchError("pictures", "pictures, uint8[H,W,3] in BGR", got, fix)
    return [to_tensor(letterbox(each, size_wh).image_bgr) for each in found]


def calibrate(model: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]]) -> Ranges:
    """Run pictures through the network and note the range of every value: percentiles 0.0005 and 99.9995.

    The few values beyond are clipped, so that they do not make the steps coarse for all others. The
    calibrator is `onnxruntime.quantization`'s; one picture is in memory at a time.

    Args:
        model: A detector in FP32.
        pictures: What it will see; never those that it is judged by.

    Raises:
        PatchError: A graph or pictures that are not understood, or values that are not finite.
    """
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    inputs, network = network_inputs(model, pictures), cut_network(model)
    _refuse_no_numbers(network, inputs[0])
    name = network.graph.input[0].name
    options = {"symmetric": False, "percentile": PERCENTILE}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "network.onnx"
        onnx.save(network, path)
        calibrator: Any = create_calibrator(
            path, None, str(Path(folder) / "augmented.onnx"), CalibrationMethod.Percentile,
            extra_options=options,
        )  # fmt: skip
        calibrator.infer_session = _session(calibrator.augmented_model_path)
        for each in inputs:
            calibrator.collect_data(_Once({name: each}))
        found, seen = calibrator.compute_data(), calibrator.collector.get_histogram_dict()
    limits, histograms = dict[str, tuple[float, float]](), {}
    for value in sorted(found.keys()):
        data = found[value]
        low, high = (float(np.asarray(end).item()) for end in data.range_value)
        limits[value], histograms[value] = (low, high), seen[value][:2]
    limits[name] = (0.0, 1.0)  # a picture: 255 steps are its own grey levels
    return Ranges(_shared(network, limits), histograms, inputs)


def _refuse_no_numbers(network: onnx.ModelProto, image: NDArray[np.float32]) -> None:
    """A weight that is NaN or infinite shows at the head."""
    session = _session(network.SerializeToString())
    heads = session.run(None, {network.graph.input[0].name: image})
    if not all(np.isfinite(head).all() for head in heads):
        raise PatchError("model", "finite values at the head", "NaN or infinity", "check the weights")


def _session(path: str | bytes) -> onnxruntime.InferenceSession:
    """One thread, on an optimised graph: the calibrator's own session waits for other programs' threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _shared(
    network: onnx.ModelProto, limits: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """One range for what `Concat`, `MaxPool` and `Resize` read and make, so that they move bytes only."""
    group = {name: name for name in limits}

    def leader(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for node in network.graph.node:
        if node.op_type in ALIKE:
            data = node.input if node.op_type == "Concat" else node.input[:1]
            values = [name for name in (*data, *node.output) if name in group]
            for name in values[1:]:
                group[leader(name)] = leader(values[0])
    lows, highs = dict[str, float](), dict[str, float]()
    for name, (low, high) in limits.items():
        first = leader(name)
        lows[first], highs[first] = min(low, lows.get(first, low)), max(high, highs.get(first, high))
    return {name: (lows[leader(name)], highs[leader(name)]) for name in limits}


class _Once:
    """A calibration reader of one picture."""

    def __init__(self, feed: dict[str, NDArray[np.float32]]) -> None:
        self.feed: dict[str, NDArray[np.float32]] | None = feed

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        feed, self.feed = self.feed, None
        return feed
