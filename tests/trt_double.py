# ruff: noqa: N802 - behaviours are named after the class and method they play
"""A TensorRT that only records: its surface is the stub's, so what the real one lacks fails here, too.

Classes, methods, properties and enum values come from `stubs/tensorrt-<version>`; arguments are held against
the signatures, by number, name and kind. What calls *do* is in `Script`: it plays a build and a run, with a
plan that is JSON, and an engine that reads and writes the memory it is pointed to.
"""

import ast
import ctypes
import importlib.machinery
import inspect
import json
import re
import sys
import types
from pathlib import Path

import numpy as np

STUBS = Path(__file__).parents[1] / "stubs"
VERSIONS = ("10.16", "11.4")
PLAN = b"ftrt"


class Double:
    """One version's surface, as a module, and the record of calls."""

    def __init__(self, version):
        text = (STUBS / f"tensorrt-{version}" / "tensorrt" / "__init__.pyi").read_text()
        self.calls, self.script, self.lines = [], Script(self), text.splitlines()
        self.module = types.ModuleType("tensorrt")
        self.module.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
        self.module.__version__ = f"{version}.0"
        left = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
        while left:  # a base may stand further down
            node = left.pop(0)
            if all(hasattr(self.module, ast.unparse(base)) for base in node.bases):
                setattr(self.module, node.name, self.klass(node, node.name))
            else:
                left.append(node)
        for node in ast.parse(text).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Name):
                members = getattr(getattr(self.module, node.annotation.id), "__members__", {})
                value = members.get({"float32": "FLOAT"}.get(node.target.id))
                if value is not None:
                    setattr(self.module, node.target.id, value)

    def klass(self, node, full):
        bases = tuple(getattr(self.module, base.id) for base in node.bases if isinstance(base, ast.Name))
        space, values, signatures = {"__module__": "tensorrt"}, {}, {}
        for item in node.body:
            if isinstance(item, ast.ClassDef):
                space[item.name] = self.klass(item, f"{full}.{item.name}")
            elif isinstance(item, ast.AnnAssign):
                found = re.search(r"# = (-?\d+)", self.lines[item.lineno - 1])
                if found:
                    values[item.target.id] = int(found[1])
            elif isinstance(item, ast.FunctionDef):
                marks = {ast.unparse(mark) for mark in item.decorator_list}
                if "property" in marks:
                    space[item.name] = property(self.getter(full, item.name))
                elif any(mark.endswith(".setter") for mark in marks):
                    space[item.name] = space[item.name].setter(
                        self.setter(full, item.name, item.args.args[1])
                    )
                else:
                    signatures.setdefault(item.name, []).append((signature(item), ast.unparse(item.returns)))
        space |= {name: self.method(full, name, found) for name, found in signatures.items()}
        if values:
            return enumeration(node.name, values)
        if "__init__" not in space and not bases:
            space["__init__"] = no_constructor
        space["__setattr__"] = only_declared
        if full == "IHostMemory":
            space["__bytes__"] = lambda self: self._data
        made = type(node.name, bases, space)
        for name in getattr(
            space.get("Severity"), "__members__", {}
        ):  # ILogger.ERROR is ILogger.Severity.ERROR
            setattr(made, name, space["Severity"].__members__[name])
        return made

    def getter(self, full, name):
        def get(this):
            behaviour = getattr(self.script, f"{full}_{name}", None)
            return behaviour(this) if behaviour else this.__dict__.get(f"_{name}")

        return get

    def setter(self, full, name, argument):
        def put(this, value):
            assert self.fits(ast.unparse(argument.annotation), value), f"{full}.{name} = {value!r}"
            self.calls.append((f"{full}.{name}", (value,)))
            this.__dict__[f"_{name}"] = value

        return put

    def method(self, full, name, signatures):
        def call(this, *args, **kwargs):
            for known, returned in signatures:  # noqa: B007 - that of the one that fits
                try:
                    bound = known.bind(this, *args, **kwargs)
                except TypeError:
                    continue
                given = list(bound.arguments.items())[1:]
                if all(self.fits(known.parameters[key].annotation, value) for key, value in given):
                    break
            else:
                raise TypeError(f"{full}.{name}: incompatible arguments {args} {kwargs}: {signatures}")
            self.calls.append((f"{full}.{name}", tuple(value for _, value in given)))
            behaviour = getattr(self.script, f"{full}_{name.strip('_')}", None)
            if behaviour is None and returned == "None":
                return None
            assert behaviour, f"the double does not play {full}.{name}"
            return behaviour(this, *(value for _, value in given))

        return call

    def fits(self, annotation, value):
        """Whether pybind11 would take a value for what the signature says."""
        kinds = [part.strip() for part in annotation.split("|")]
        return any(self.fits_one(kind, value) for kind in kinds)

    def fits_one(self, kind, value):
        plain = {"builtins.str": str, "builtins.bool": bool, "builtins.bytes": bytes, "None": type(None)}
        if kind in plain:
            return isinstance(value, plain[kind])
        if kind == "SupportsInt":
            return isinstance(value, int)
        if kind == "Buffer":
            return isinstance(value, bytes | bytearray | memoryview)
        known = getattr(self.module, kind, None)
        return isinstance(value, known) if isinstance(known, type) else True

    def make(self, name, **state):
        """An object that only TensorRT itself makes."""
        made = object.__new__(getattr(self.module, name))
        made.__dict__.update({f"_{key}": value for key, value in state.items()})
        return made

    def named(self, name):
        """The arguments of every call of that name."""
        return [arguments for called, arguments in self.calls if called == name]


def signature(item):
    spec, parameters = item.args, []
    kinds = [(a, inspect.Parameter.POSITIONAL_ONLY) for a in spec.posonlyargs]
    kinds += [(a, inspect.Parameter.POSITIONAL_OR_KEYWORD) for a in spec.args]
    optional = len(kinds) - len(spec.defaults)
    for index, (argument, kind) in enumerate(kinds):
        default = inspect.Parameter.empty if index < optional else None
        text = ast.unparse(argument.annotation) if argument.annotation else "Any"
        parameters.append(inspect.Parameter(argument.arg, kind, default=default, annotation=text))
    for argument, kind in ((spec.vararg, "VAR_POSITIONAL"), (spec.kwarg, "VAR_KEYWORD")):
        if argument:
            parameters.append(
                inspect.Parameter(argument.arg, getattr(inspect.Parameter, kind), annotation="Any")
            )
    return inspect.Signature(parameters)


def enumeration(name, values):
    made = type(
        name,
        (),
        {
            "__int__": lambda self: self.value,
            "__index__": lambda self: self.value,
            "__repr__": lambda self: self.name,
        },
    )
    made.__members__ = {}
    for key, value in values.items():
        member = made()
        member.name, member.value = key, value
        made.__members__[key] = member
        setattr(made, key, member)
    return made


def no_constructor(this, *_args, **_kwargs):
    raise TypeError(f"{type(this).__name__}: No constructor defined!")


def only_declared(this, name, value):
    if not isinstance(getattr(type(this), name, None), property):
        raise AttributeError(f"{type(this).__name__} has no attribute {name!r}")  # noqa: TRY004 - as Python says it
    object.__setattr__(this, name, value)


class Script:
    """What the calls do; tests change the attributes."""

    def __init__(self, double):
        self.double = double
        self.parser_errors = []  # (node name, operator, reason)
        self.shapes = {"images": (1, 3, 64, 96), "output": (1, 100, 6)}
        self.fewest, self.most = 1, 1
        self.compute = number_and_mean  # what an engine answers: images [n,3,H,W] to rows [n,100,6]
        self.inspector = {"Layers": []}
        self.refuse, self.stale_cache, self.on_step, self.failing = "", False, lambda step: None, ""
        self.steps = []

    def Builder_init(self, this, logger):
        this.__dict__["_log"] = logger

    Runtime_init = Builder_init

    def OnnxParser_init(self, this, network, logger):
        this.__dict__["_log"] = logger

    def Builder_create_network(self, _this, _flags=0):
        return self.double.make("INetworkDefinition")

    def Builder_create_builder_config(self, _this):
        return self.double.make("IBuilderConfig")

    def Builder_create_optimization_profile(self, _this):
        return self.double.make("IOptimizationProfile")

    def IBuilderConfig_add_optimization_profile(self, _this, _profile):
        return -1 if self.failing == "profile" else 0

    def OnnxParser_parse_from_file(self, _this, path):
        assert Path(path).is_file()
        return not self.parser_errors

    def OnnxParser_num_errors(self, _this):
        return len(self.parser_errors)

    def OnnxParser_get_error(self, _this, index):
        name, operator, reason = self.parser_errors[index]
        return self.double.make("ParserError", said=(name, operator, reason))

    def ParserError_node_name(self, this):
        return this._said[0]

    def ParserError_node_operator(self, this):
        return this._said[1]

    def ParserError_desc(self, this):
        return this._said[2]

    def ParserError_node(self, _this):
        return 7

    def IBuilderConfig_create_timing_cache(self, _this, data):
        return self.double.make("ITimingCache", data=bytes(data))

    def IBuilderConfig_set_timing_cache(self, this, cache, _ignore):
        this.__dict__["_cache"] = cache
        return not (self.stale_cache and cache._data)

    def IBuilderConfig_get_timing_cache(self, this):
        return this._cache

    def ITimingCache_serialize(self, this):
        return self.double.make("IHostMemory", data=this._data + b"timed;")

    def Builder_build_serialized_network(self, this, _network, config):
        severity = self.double.module.ILogger.Severity
        this._log.log(severity.WARNING, "a warning")
        monitor = config._progress_monitor
        monitor.phase_start("Building", None, 3)
        for step in range(3):
            monitor.phase_start(f"Tactics {step}", "Building", 1)
            self.on_step(step)
            self.steps.append(step)
            if not monitor.step_complete("Building", step):
                monitor.phase_finish("Building")
                return None
            monitor.phase_finish(f"Tactics {step}")
        monitor.phase_finish("Building")
        if self.refuse:
            this._log.log(severity.ERROR, self.refuse)
            return None
        return self.double.make("IHostMemory", data=PLAN + json.dumps(self.shapes).encode())

    def Runtime_deserialize_cuda_engine(self, this, data):
        if not data.startswith(PLAN):
            this._log.log(self.double.module.ILogger.Severity.ERROR, "magic tag does not match")
            return None
        shapes = {name: tuple(shape) for name, shape in json.loads(data[len(PLAN) :]).items()}
        return self.double.make("ICudaEngine", shapes=shapes)

    def ICudaEngine_num_io_tensors(self, this):
        return len(this._shapes)

    def ICudaEngine_get_tensor_name(self, this, index):
        return list(this._shapes)[index]

    def ICudaEngine_get_tensor_mode(self, _this, name):
        mode = self.double.module.TensorIOMode
        return mode.INPUT if name == "images" else mode.OUTPUT

    def ICudaEngine_get_tensor_dtype(self, _this, _name):
        return self.double.module.DataType.FLOAT

    def ICudaEngine_get_tensor_shape(self, this, name):
        return self.double.module.Dims(this._shapes[name])

    def ICudaEngine_get_tensor_profile_shape(self, this, name, _index):
        shape = this._shapes[name][1:]
        usual = (self.fewest + self.most) // 2
        return [self.double.module.Dims((number, *shape)) for number in (self.fewest, usual, self.most)]

    def ICudaEngine_create_engine_inspector(self, _this):
        return self.double.make("EngineInspector")

    def EngineInspector_get_engine_information(self, _this, _form):
        return json.dumps(self.inspector)

    def ICudaEngine_create_execution_context(self, this, *_):
        count = max(1, this._shapes["images"][0])
        made = self.double.make("IExecutionContext", of=this, at={}, n=count)
        return None if self.failing == "context" else made

    def IExecutionContext_set_tensor_address(self, this, name, address):
        this._at[name] = address
        return self.failing != "set_tensor_address"

    def IExecutionContext_set_input_shape(self, this, _name, shape):
        this.__dict__["_n"] = shape[0]
        return self.failing != "set_input_shape"

    def IExecutionContext_execute_async_v3(self, this, _stream):
        """Read and write where the addresses point."""
        shapes, count = this._of._shapes, this._n
        images, rows = (
            np.ctypeslib.as_array(
                (ctypes.c_float * (count * int(np.prod(shapes[name][1:])))).from_address(at)
            )
            for name, at in this._at.items()
        )
        rows[:] = self.compute(images.reshape(count, *shapes["images"][1:]).copy()).reshape(-1)
        return self.failing != "execute_async_v3"

    def Dims_init(self, this, shape=()):
        this.__dict__["_shape"] = tuple(shape)

    def Dims_len(self, this):
        return len(this._shape)

    def Dims_getitem(self, this, index):
        return this._shape[index]


def number_and_mean(images):
    """The first row of each picture: its number, and the mean of its values."""
    rows = np.zeros((len(images), 100, 6), np.float32)
    rows[:, 0] = [[n, 1, 2, 3, image.mean(), 0] for n, image in enumerate(images)]
    return rows


def install(monkeypatch, version, memory=True):
    """TensorRT is the double, and torch says that there is a GPU; its memory is the host's."""
    import torch

    from helpers import engine_run

    double = Double(version)
    monkeypatch.setitem(sys.modules, "tensorrt", double.module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Imaginary GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(engine_run, "CudaMemory", HostMemory)
    return double


class HostMemory:
    """`CudaMemory` without a GPU: real addresses, that the double's engine reads and writes."""

    stream = 4711
    made = 0

    def buffer(self, shape):
        import torch

        HostMemory.made += 1
        return torch.full(shape, float("nan"))

    def upload(self, array, buffer):
        import torch

        buffer.copy_(torch.from_numpy(array))

    def download(self, buffer):
        return buffer.numpy().copy()


def write_graph(path, *, batch=1, half=False, output=None, names=("RBC", "WBC"), input_name="images"):
    """A finished detector's outside: `images` [B,3,64,96] to [B,100,6], with metadata."""
    import onnx

    from helpers.patches.metadata import write_metadata

    shape = ", ".join(map(str, output or (batch, 100, 6)))
    kind = "float16" if half else "float"
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]>
        net (float[{batch}, 3, 64, 96] {input_name}) => (float[{shape}] output) <{kind}[1] weight = {{1}}> {{
            ones = NonZero(weight) end = Constant<value_ints = [-1]>() any_shape = Reshape(ones, end)
            output = Reshape({input_name}, any_shape) }}"""
    )
    if names:
        model = write_metadata(model, names=names, stride=32).model
    onnx.save(model, path)
    return path
