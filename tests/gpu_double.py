"""TensorRT's double as an actor: it parses real graphs, "builds" them, and runs them with ONNX Runtime.

With `YOLOV7_GPU_DOUBLE=10.16` or `11.4` the tests in tests/gpu run against it, so that they are known to work
before the first GPU is at hand. What only a GPU can say they skip then, and say so.
"""

from __future__ import annotations

import ctypes
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import trt_double

STEPS = 12
KINDS = {"10.16": ("Format/Datatype", "Row major linear {} format"), "11.4": ("Datatype", "{}")}
SPELLINGS = {"10.16": {10: "FP16", 1: "FP32", 7: "Int64"}, "11.4": {10: "Half", 1: "Float", 7: "Int64"}}


@cache
def session(path: str) -> Any:
    """What computes in place of the engine."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ports(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Inputs and outputs; -1 where a dimension is open."""
    weights = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in (*model.graph.input, *model.graph.output) if value.name not in weights]
    shapes = {value.name: value.type.tensor_type.shape.dim for value in values}
    return {
        name: [d.dim_value if d.HasField("dim_value") else -1 for d in dims] for name, dims in shapes.items()
    }


def layers(model: onnx.ModelProto, version: str) -> dict[str, Any]:
    """One layer a node, in the inspector's form of a version."""
    from helpers.patches.half_plan import types_of

    types, (key, text) = types_of(model), KINDS[version]
    found = []
    for node in model.graph.node:
        inputs = [types[name] for name in node.input if types.get(name) in SPELLINGS[version]]
        tensors = [{"Name": "x", key: text.format(SPELLINGS[version][kind])} for kind in inputs]
        kind = "CaskConvolution" if node.op_type == "Conv" else node.op_type
        found.append({"Name": node.name or node.output[0], "LayerType": kind, "Inputs": tensors})
    names = list(ports(model))
    listed = {"Bindings": names} if version == "10.16" else {"I/O Tensors": [{"Name": n} for n in names]}
    return {"Layers": found, **listed}


class Actor(trt_double.Script):
    """Behaviours that depend on the graph that was parsed."""

    def __init__(self, double: Any, version: str) -> None:
        super().__init__(double)
        self.version, self.parsed, self.profile = version, "", (1, 1, 1)

    def OnnxParser_parse_from_file(self, _this: Any, path: str) -> bool:  # noqa: N802
        self.parsed = str(Path(path).resolve())
        known = onnx.load(path)
        self.parser_errors = [
            (node.name, node.op_type, "no importer registered")
            for node in known.graph.node
            if node.op_type in ("Unique", "Compress")
        ]
        return not self.parser_errors

    def IOptimizationProfile_set_shape(self, _this: Any, _name: str, *shapes: Any) -> None:  # noqa: N802
        self.profile = tuple(shape[0] for shape in shapes)

    def Builder_build_serialized_network(self, this: Any, _network: Any, config: Any) -> Any:  # noqa: N802
        import time

        monitor = config._progress_monitor
        monitor.phase_start("Building", None, STEPS)
        for step in range(STEPS):
            time.sleep(0.02)
            if not monitor.step_complete("Building", step):
                this._log.log(self.double.module.ILogger.Severity.ERROR, "cancelled by the progress monitor")
                return None
        monitor.phase_finish("Building")
        said = {"graph": self.parsed, "shapes": ports(onnx.load(self.parsed)), "profile": self.profile}
        return self.double.make("IHostMemory", data=trt_double.PLAN + json.dumps(said).encode())

    def Runtime_deserialize_cuda_engine(self, this: Any, data: bytes) -> Any:  # noqa: N802
        try:
            said = json.loads(data.removeprefix(trt_double.PLAN))
        except ValueError:
            this._log.log(self.double.module.ILogger.Severity.ERROR, "the plan is no plan")
            return None
        shapes = {name: tuple(shape) for name, shape in said["shapes"].items()}
        return self.double.make("ICudaEngine", shapes=shapes, graph=said["graph"], profile=said["profile"])

    def ICudaEngine_get_tensor_profile_shape(self, this: Any, name: str, _index: int) -> Any:  # noqa: N802
        shape = this._shapes[name][1:]
        return [self.double.module.Dims((number, *shape)) for number in this._profile]

    def ICudaEngine_create_engine_inspector(self, this: Any) -> Any:  # noqa: N802
        return self.double.make("EngineInspector", graph=this._graph)

    def EngineInspector_get_engine_information(self, this: Any, _form: Any) -> str:  # noqa: N802
        return json.dumps(layers(onnx.load(this._graph), self.version))

    def IExecutionContext_execute_async_v3(self, this: Any, _stream: int) -> bool:  # noqa: N802
        shapes, graph = this._of._shapes, this._of._graph
        sides = {}
        for name, at in this._at.items():
            size = this._n * int(np.prod(shapes[name][1:]))
            sides[name] = np.ctypeslib.as_array((ctypes.c_float * size).from_address(at))
        images = sides.pop("images").reshape(this._n, *shapes["images"][1:]).copy()
        ((_, rows),) = sides.items()
        rows[:] = session(graph).run(None, {"images": images})[0].reshape(-1)
        return True


def act(monkeypatch: Any, version: str) -> Any:
    """TensorRT is the actor for as long as `monkeypatch` lasts."""
    double = trt_double.install(monkeypatch, version)
    double.script = Actor(double, version)
    return double
