"""What is to be built, read from the graph: checked before TensorRT is asked, and held against the engine.

Nothing here needs a GPU or TensorRT; lessons show a plan where neither is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.engine_header import EngineError

if TYPE_CHECKING:
    import onnx

__all__ = ["Plan", "Wish"]

SLOTS = 100
MASKED = (
    "candidates: by mask, so shapes change with the picture; fixed ones are easier on TensorRT: "
    "build from the model's name, or from the file of convert --half"
)
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Wish:
    """How to build; see `helpers.engine.build_engine`."""

    workspace_gb: float
    timing_cache: Path
    version_compatible: bool = False
    hardware_compatible: bool = False
    tf32: bool = True

    @property
    def workspace_bytes(self) -> int:
        """The limit in bytes.

        Raises:
            EngineError: It is none.
        """
        if not self.workspace_gb > 0:
            raise EngineError(
                f"workspace_gb: expected more than 0, got {self.workspace_gb}. Fix: 4 is plenty"
            )
        return int(self.workspace_gb * (1 << 30))


@dataclass(frozen=True)
class Plan:
    """A build that has not been run.

    Attributes:
        onnx_path: The graph.
        engine_path: The engine.
        input_name: `images`, which Ultralytics insists on.
        shapes: Fewest, usual and most: the input's `[B,3,H,W]`; three times the same for a fixed batch.
        dynamic: Whether the batch is open.
        half: Whether the graph computes in FP16, which is decided in the graph alone.
        header: What Ultralytics reads.
        int8: Whether the graph has Q/DQ nodes.
    """

    onnx_path: Path
    engine_path: Path
    input_name: str
    shapes: tuple[Shape, Shape, Shape]
    dynamic: bool
    half: bool
    header: dict[str, Any]
    int8: bool = False

    @staticmethod
    def of(
        model: onnx.ModelProto, onnx_path: Path, engine_path: Path, batch: tuple[int, int, int] | None = None
    ) -> Plan:
        """Read a finished graph.

        Raises:
            EngineError: It is none, has no metadata, is INT8 for CPUs, or `batch` does not fit it.
        """
        from helpers.patches.metadata import read_metadata

        name, (first, *rest) = _input(model, onnx_path)
        _check_output(model, onnx_path)
        _check_int8(model, onnx_path)
        shapes = tuple((number, *rest) for number in _batches(first, batch))
        half = any(tensor.data_type == tensor.FLOAT16 for tensor in model.graph.initializer)
        if "fp16" in engine_path.stem and not half:
            raise EngineError(
                f"engine_path: {engine_path.name} says FP16, but {onnx_path.name} computes in FP32, and "
                "so would the engine. Fix: put the graph in half precision first, or name it otherwise"
            )
        header = read_metadata(model)
        if missing := {"names", "stride", "imgsz"} - header.keys():
            raise EngineError(
                f"{onnx_path.name}: expected metadata, {', '.join(sorted(missing))} is missing. "
                f"Fix: python -m helpers patch {onnx_path.name} --names NAMES"
            )
        header |= {"task": "detect", "batch": shapes[-1][0], "channels": rest[0]}
        header["args"] = {
            "nms": True,
            "dynamic": first is None,
        }  # without nms Ultralytics captures a CUDA graph
        fewest, usual, most = shapes
        int8 = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        return Plan(onnx_path, engine_path, name, (fewest, usual, most), first is None, half, header, int8)

    def check(self, shapes: dict[str, Shape], precisions: dict[str, int], version: str) -> None:
        """Hold the engine to what the graph promised.

        Args:
            shapes: Input and output to their shapes in the engine.
            precisions: Precision to the number of layers that compute in it.
            version: TensorRT's.

        Raises:
            EngineError: No layer in FP16 where the graph has it, or another output than `[B,100,6]`.
        """
        outputs = {name: shape for name, shape in shapes.items() if name != self.input_name}
        wanted = (-1 if self.dynamic else self.shapes[1][0], SLOTS, 6)
        if list(outputs.values()) != [wanted]:
            raise EngineError(
                f"engine: expected one output {list(wanted)}, got {outputs} from TensorRT {version}. "
                "Fix: use the graph that ends in -ultralytics.onnx or -batched.onnx; it declares its shape"
            )
        if (self.half or "fp16" in self.engine_path.stem) and not precisions.get("fp16"):
            raise EngineError(
                f"engine: expected layers that compute in FP16, got {precisions} from TensorRT {version}. "
                "Fix: the network must be strongly typed and its convolutions FP16 in the graph"
            )

    def lines(self) -> list[str]:
        """The plan, a fact a line."""
        batches = [shape[0] for shape in self.shapes]
        precision = "FP16 up to the head, FP32 after it" if self.half else "FP32"
        if self.int8:
            precision = f"INT8 between the Q/DQ nodes, elsewhere {precision}"
        return [
            f"{self.onnx_path.name} -> {self.engine_path.name}",
            f"input {self.input_name}: {list(self.shapes[1])}"
            + (f", batch {batches[0]} to {batches[2]}" if self.dynamic else ""),
            f"precision: {precision}, from the graph",
            f"header: {len(self.header['names'])} class names, args {self.header['args']}",
            *([MASKED] if str(self.header.get("filter", "")).startswith("mask") else ()),
        ]


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]


def _input(model: onnx.ModelProto, path: Path) -> tuple[str, list[Any]]:
    weights = {tensor.name for tensor in model.graph.initializer}
    found = {value.name: _dims(value) for value in model.graph.input if value.name not in weights}
    shape = found.get("images", [])
    if list(found) != ["images"] or len(shape) != 4 or None in shape[1:]:
        raise EngineError(
            f"{path.name}: expected one input, images [B,3,H,W] with fixed H and W, got {found}. "
            "Fix: make it of a checkpoint: python -m helpers convert"
        )
    return "images", shape


def _check_output(model: onnx.ModelProto, path: Path) -> None:
    found = {value.name: _dims(value) for value in model.graph.output}
    shape = next(iter(found.values()), [])
    if len(found) != 1 or len(shape) != 3 or shape[1:] != [SLOTS, 6]:
        raise EngineError(
            f"{path.name}: expected one output [B,{SLOTS},6], got {found}. "
            f"Fix: python -m helpers patch {path.name} makes it"
        )


def _check_int8(model: onnx.ModelProto, path: Path) -> None:
    """TensorRT takes signed bytes around 0; the form for CPUs has unsigned ones and other zero points."""
    from onnx.numpy_helper import to_array

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    kinds = {"QuantizeLinear", "DequantizeLinear"}
    used = {name for node in model.graph.node if node.op_type in kinds for name in node.input[2:3]}
    zeros = [to_array(stored[name]) for name in used & stored.keys()]
    unsigned = sum(zero.dtype.kind == "u" for zero in zeros)
    if unsigned or any(zero.any() for zero in zeros):
        source = f"{path.stem.removesuffix('-int8')}-ultralytics.onnx"
        shifted = sum(bool(zero.any()) for zero in zeros)
        raise EngineError(
            f"{path.name}: expected INT8 in signed bytes with zero points of 0, got {unsigned} unsigned and "
            f"{shifted} other zero points (the form for CPUs). Fix: build the file that "
            f"python -m helpers patch {source} --form int8-tensorrt makes"
        )


def _batches(first: int | None, batch: tuple[int, int, int] | None) -> tuple[int, int, int]:
    if first is not None:
        if batch not in (None, (first, first, first)):
            raise EngineError(
                f"batch: expected none, the graph's is fixed at {first}, got {batch}. Fix: leave it out"
            )
        return first, first, first
    fewest, usual, most = batch or (1, 1, 8)
    if not 1 <= fewest <= usual <= most:
        raise EngineError(f"batch: expected fewest <= usual <= most from 1 on, got {batch}. Fix: (1, 1, 8)")
    return fewest, usual, most
