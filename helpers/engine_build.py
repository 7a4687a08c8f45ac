"""Every call that building takes of TensorRT; the names are those that 10.x and 11.x both have.

`tests/test_engine_types.py` type-checks this file against both. TensorRT is imported inside the functions:
there must be a CUDA device first (`helpers.engine.require_tensorrt`).
"""

from __future__ import annotations

from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, SupportsInt

from helpers.artifacts import atomic_path
from helpers.engine_header import EngineError

if TYPE_CHECKING:
    import tensorrt as trt

    from helpers.engine_plan import Plan, Wish

__all__ = ["Log", "build_plan", "inspect_plan", "load_plan", "make_log", "tensorrt_version"]


class Log:
    """TensorRT's warnings and errors, kept for reports and error messages."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def why(self, limit: int = 3) -> str:
        """The last errors in one line."""
        return "; ".join(self.errors[-limit:]) or "TensorRT gave no reason"


def tensorrt_version() -> str:
    """The version of the TensorRT at hand, such as `11.4.0.106`."""
    import tensorrt as trt

    return str(trt.__version__)


def make_log() -> tuple[trt.ILogger, Log]:
    """A logger for TensorRT, and what it has heard."""
    import tensorrt as trt

    log = Log()

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants this call, not super()

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if int(severity) <= int(trt.ILogger.ERROR):
                log.errors.append(msg)
            elif int(severity) == int(trt.ILogger.WARNING):
                log.warnings.append(msg)

    return Logger(), log


def build_plan(plan: Plan, wish: Wish, cancel: Event, bars: bool = False) -> tuple[bytes, tuple[str, ...]]:
    """Build the engine's plan, and return it with TensorRT's warnings.

    Args:
        plan: What to build.
        wish: How.
        cancel: Once it is set, the build ends at its next step.
        bars: Show progress.

    Raises:
        EngineError: TensorRT cannot parse or build it; the message names nodes and reasons.
    """
    import tensorrt as trt

    logger, log = make_log()
    builder = trt.Builder(logger)
    network, config = _parse(builder, logger, log, plan)
    _configure(config, wish)
    if plan.dynamic:
        profile = builder.create_optimization_profile()
        profile.set_shape(plan.input_name, *(trt.Dims(shape) for shape in plan.shapes))
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"batch: TensorRT refuses {plan.shapes}: {log.why()}. Fix: fewer pictures")
    monitor = _make_monitor(cancel, bars)
    config.progress_monitor = monitor  # held in a name here: it must outlive the build
    _open_cache(config, wish.timing_cache)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise EngineError(
            f"{plan.engine_path.name}: TensorRT {trt.__version__} could not build it: {log.why()}"
        )
    _keep_cache(config, wish.timing_cache)
    return bytes(built), tuple(dict.fromkeys(log.warnings))


def load_plan(data: bytes, *, host_code: bool = False) -> tuple[trt.ICudaEngine, trt.Runtime]:
    """An engine from its plan, with the runtime that must live as long.

    Args:
        data: The plan, without header. This runs code that is in it.
        host_code: Allow the runtime that a version-compatible plan carries.

    Raises:
        EngineError: TensorRT refuses it.
    """
    import tensorrt as trt

    logger, log = make_log()
    runtime = trt.Runtime(logger)
    runtime.engine_host_code_allowed = host_code
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise EngineError(f"TensorRT {trt.__version__} refuses the plan: {log.why()}")
    return engine, runtime


def inspect_plan(data: bytes, wish: Wish) -> tuple[str, dict[str, tuple[int, ...]]]:
    """The inspector's JSON, and inputs and outputs with their shapes, of a plan that was just built.

    Raises:
        EngineError: It cannot be loaded or inspected.
    """
    import tensorrt as trt

    engine, _runtime = load_plan(data, host_code=wish.version_compatible)
    inspector = engine.create_engine_inspector()
    if inspector is None:
        raise EngineError("inspector: TensorRT gave none. Fix: check GPU memory")
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return text, {name: shape_of(engine.get_tensor_shape(name)) for name in names}


def shape_of(dims: trt.Dims) -> tuple[int, ...]:
    """TensorRT's shape as a tuple."""
    return tuple(dims[index] for index in range(len(dims)))


def _parse(
    builder: trt.Builder, logger: trt.ILogger, log: Log, plan: Plan
) -> tuple[trt.INetworkDefinition, trt.IBuilderConfig]:
    import tensorrt as trt

    strong = trt.NetworkDefinitionCreationFlag.__members__.get("STRONGLY_TYPED")
    # Numbers moved between the majors: 2 means strongly typed on 10 and something else on 11.
    network = builder.create_network(0 if strong is None else 1 << int(strong))
    config = builder.create_builder_config()
    if network is None or config is None:
        raise EngineError(f"builder: TensorRT made no network: {log.why()}. Fix: check driver and memory")
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(plan.onnx_path)):
        errors = _parser_errors(parser, log)
        raise EngineError(f"{plan.onnx_path.name}: TensorRT {trt.__version__} refuses it: {errors}")
    return network, config


def _configure(config: trt.IBuilderConfig, wish: Wish) -> None:
    import tensorrt as trt

    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, wish.workspace_bytes)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that precisions can be read back
    if wish.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if not wish.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)  # it is set from the start
    if wish.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS


def _parser_errors(parser: trt.OnnxParser, log: Log) -> str:
    found = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        found.append(f"node {error.node_name() or error.node()} ({error.node_operator()}): {error.desc()}")
    return "; ".join(found) or log.why()


def _open_cache(config: trt.IBuilderConfig, path: Path) -> None:
    """Timings of earlier builds; one that another version or GPU wrote is begun anew."""
    for data in (path.read_bytes() if path.is_file() else b"", b""):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return
    raise EngineError("timing_cache: TensorRT takes not even an empty one. Fix: check GPU and driver")


def _keep_cache(config: trt.IBuilderConfig, path: Path) -> None:
    cache = config.get_timing_cache()
    if cache is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(bytes(cache.serialize()))


def _make_monitor(cancel: Event, bars: bool) -> trt.IProgressMonitor:
    """A bar for every phase that is under way; TensorRT calls from several threads."""
    import tensorrt as trt
    from tqdm import tqdm

    lock, shown = Lock(), dict[str, Any]()

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: SupportsInt) -> None:
            with lock:
                depth = len(shown) if parent_phase else 0
                shown[phase_name] = tqdm(
                    total=int(num_steps), desc=phase_name, position=depth, leave=False, disable=not bars
                )

        def step_complete(self, phase_name: str, step: SupportsInt) -> bool:
            with lock:
                if phase_name in shown:
                    shown[phase_name].update(int(step) + 1 - shown[phase_name].n)
            return not cancel.is_set()

        def phase_finish(self, phase_name: str) -> None:
            with lock:
                if phase_name in shown:
                    shown.pop(phase_name).close()

    return Monitor()
