"""What TensorRT made of the graph: layers and their precision, read from the engine inspector's JSON.

TensorRT 10 writes `"Bindings": [names]` and, per tensor, one text `"Format/Datatype"`; TensorRT 11 writes
`"I/O Tensors": [{Name, ...}]`, and `"Format"` and `"Datatype"` apart (the inspector's documentation, 11.3).
Engines built without detailed verbosity list layers as plain names. All are read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from helpers.engine_header import EngineError

__all__ = ["Layer", "count_precisions", "read_layers"]

# Moving and converting is not computing: a lone cast to FP16 makes no FP16 engine.
MOVES = {"reformat", "cast", "noop", "no_op", "constant", "identity", "shuffle", "copy", "myelin_cast"}
PRECISIONS = (
    ("fp16", r"\b(fp16|half|float16)\b"),
    ("bf16", r"\b(bf16|bfloat16)\b"),
    ("fp8", r"\b(fp8|e4m3|float8)\b"),
    ("int8", r"\bint8\b"),
    ("fp32", r"\b(fp32|float|float32)\b"),
    ("int32", r"\bint32\b"),
    ("int64", r"\bint64\b"),
    ("bool", r"\bbool\b"),
)


@dataclass(frozen=True)
class Layer:
    """One layer of an engine.

    Attributes:
        name: TensorRT's name: the ONNX nodes that were fused into it.
        kind: TensorRT's layer type, such as `CaskConvolution`; empty where it does not say.
        precision: `fp16`, `fp32`, `int8`, ... of what it reads; `?` where it does not say.
    """

    name: str
    kind: str
    precision: str

    @property
    def computes(self) -> bool:
        """Whether it does more than move or convert values."""
        return self.kind.lower().replace(" ", "_") not in MOVES


def read_layers(text: str) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Layers, and the names of inputs and outputs.

    Args:
        text: What `EngineInspector.get_engine_information(LayerInformationFormat.JSON)` returns.

    Raises:
        EngineError: It is no such text.

    Example:
        >>> layers, ports = read_layers('{"Layers": [{"Name": "conv", "LayerType": "Convolution", "Inputs":'
        ...     '[{"Format/Datatype": "Row major linear FP16 format"}]}], "Bindings": ["images"]}')
        >>> layers[0].precision, ports
        ('fp16', ('images',))
    """
    try:
        found = json.loads(text)
        layers = tuple(_layer(layer) for layer in found["Layers"])
        ports = found.get("I/O Tensors", found.get("Bindings", []))
        return layers, tuple(port["Name"] if isinstance(port, dict) else str(port) for port in ports)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"inspector: expected JSON with Layers, got {text[:80]!r}. Fix: "
            "this TensorRT writes a third form; report it with its version"
        ) from error


def count_precisions(layers: tuple[Layer, ...]) -> dict[str, int]:
    """Precision to the number of layers that compute in it.

    Example:
        >>> count_precisions((Layer("a", "Convolution", "fp16"), Layer("b", "Reformat", "fp32")))
        {'fp16': 1}
    """
    return dict(Counter(layer.precision for layer in layers if layer.computes).most_common())


def _layer(layer: dict[str, Any] | str) -> Layer:
    if isinstance(layer, str):
        return Layer(layer, "", "?")
    tensors = [*layer.get("Inputs", []), *layer.get("Outputs", [])]
    said = [precision for tensor in tensors if (precision := _precision(tensor)) != "?"]
    floats = [precision for precision in said if precision not in ("int32", "int64", "bool")]
    kind = str(layer.get("LayerType", ""))
    return Layer(str(layer.get("Name", "")), kind, (floats or said or ["?"])[0])


def _precision(tensor: dict[str, Any]) -> str:
    words = tensor.get("Datatype", tensor.get("DataType", tensor.get("Format/Datatype", "")))
    return next((name for name, pattern in PRECISIONS if re.search(pattern, str(words).lower())), "?")
