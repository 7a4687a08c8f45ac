"""A finished ONNX graph becomes a TensorRT engine: one call for TensorRT 10 and 11.

Precision is in the graph (`helpers.patches.half`), so no precision flag is set: TensorRT 11 has none left.
The network is strongly typed on both. What was built is read back and held to what it should be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TypeVar

from helpers.engine_header import EngineError, pack_header
from helpers.engine_layers import Layer, count_precisions, read_layers
from helpers.engine_plan import Plan, Wish

__all__ = ["BuildReport", "EngineError", "Plan", "build_engine", "plan_build", "require_tensorrt"]

T = TypeVar("T")


@dataclass(frozen=True)
class BuildReport:
    """What came of a build.

    Attributes:
        path: The engine.
        seconds: TensorRT's own build time.
        size: Of the file, in bytes.
        tensorrt: The version that built it, the only one that loads it unless it is version-compatible.
        layers: As the inspector lists them.
        shapes: Input and output to their shapes; -1 where the batch is open.
        cached: Whether a timing cache of an earlier build was at hand.
        messages: TensorRT's warnings.
    """

    path: Path
    seconds: float
    size: int
    tensorrt: str
    layers: tuple[Layer, ...]
    shapes: dict[str, tuple[int, ...]]
    cached: bool
    messages: tuple[str, ...] = ()

    @property
    def precisions(self) -> dict[str, int]:
        """Precision to the number of layers that compute in it."""
        return count_precisions(self.layers)

    def lines(self) -> list[str]:
        """The report, a fact a line."""
        counted = ", ".join(f"{number} in {precision}" for precision, number in self.precisions.items())
        return [
            f"{self.path.name}: {self.size / 1e6:.1f} MB, built in {self.seconds:.0f} s by {self.tensorrt}",
            f"{len(self.layers)} layers; computing: {counted}",
            "timing cache: " + ("of an earlier build" if self.cached else "begun"),
            *(f"{name}: {list(shape)}" for name, shape in self.shapes.items()),
        ]


def build_engine(
    onnx_path: str | Path,
    engine_path: str | Path,
    *,
    workspace_gb: float = 4.0,
    timing_cache: str | Path | None = None,
    batch: tuple[int, int, int] | None = None,
    version_compatible: bool = False,
    hardware_compatible: bool = False,
    tf32: bool = True,
    progress: bool = True,
) -> BuildReport:
    """Build an engine that Ultralytics and `helpers.engine_run.Engine` read, and enter it in the manifest.

    Ctrl-C stops the build within a step, and leaves nothing behind but the timing cache of earlier builds.

    Args:
        onnx_path: A finished graph: `images` `[B,3,H,W]` to `[B,100,6]`, with metadata.
        engine_path: What is written: the header of Ultralytics, then the plan.
        workspace_gb: How much memory a layer may use for scratch, in GiB.
        timing_cache: File with the timings of earlier builds, read and written; by default beside the engine.
        batch: Fewest, usual and most pictures at once, for a graph with an open batch.
        version_compatible: Loads in later TensorRT versions, too, and runs a little slower.
        hardware_compatible: Loads on other GPUs from Ampere on, and runs a little slower.
        tf32: FP32 convolutions may round what they multiply to TF32, which has no more digits than FP16.
        progress: Bars where there is a terminal or a notebook.

    Raises:
        EngineError: No GPU, no TensorRT, a graph that is no finished detector or that TensorRT refuses, an
            engine called FP16 without a layer that computes in it, or another output shape.
        KeyboardInterrupt: Ctrl-C.
    """
    plan = plan_build(onnx_path, engine_path, batch=batch)
    require_tensorrt(f"building {plan.engine_path.name}")
    import torch

    from helpers.artifacts import Manifest, atomic_path
    from helpers.engine_build import build_plan, inspect_plan, tensorrt_version

    version, capability = tensorrt_version(), torch.cuda.get_device_capability()
    gpu = f"{torch.cuda.get_device_name()}, compute capability {capability[0]}.{capability[1]}"
    name = f"timing-{version}-sm{capability[0]}{capability[1]}.cache"
    cache = Path(timing_cache) if timing_cache else plan.engine_path.parent / name
    wish = Wish(workspace_gb, cache, version_compatible, hardware_compatible, tf32)
    cached, cancel, begun = cache.is_file(), Event(), time.perf_counter()
    device = torch.cuda.current_device()

    def work() -> tuple[bytes, tuple[str, ...]]:
        torch.cuda.set_device(device)  # a thread begins on the first GPU
        return build_plan(plan, wish, cancel, shown(progress))

    data, messages = _interruptible(work, cancel)
    seconds = time.perf_counter() - begun
    text, shapes = inspect_plan(data, wish)
    layers, _ = read_layers(text)
    plan.check(shapes, count_precisions(layers), version)
    made_by = {"tensorrt": version, "gpu": gpu, "platform": sys.platform, "plan_bytes": len(data)}
    made_by |= {"version_compatible": version_compatible, "hardware_compatible": hardware_compatible}
    with atomic_path(plan.engine_path) as temporary:
        temporary.write_bytes(pack_header(plan.header | {"made_by": made_by}) + data)
    Manifest(plan.engine_path.parent).record(
        plan.engine_path, call="build_engine", sources=[plan.onnx_path], made_by=made_by
    )
    size = plan.engine_path.stat().st_size
    return BuildReport(plan.engine_path, seconds, size, version, layers, shapes, cached, messages)


def plan_build(
    onnx_path: str | Path, engine_path: str | Path, *, batch: tuple[int, int, int] | None = None
) -> Plan:
    """What would be built, from the graph alone: runs anywhere, without a GPU and without TensorRT.

    Raises:
        EngineError: The graph is no finished detector, or `batch` does not fit it.
    """
    import onnx

    path = Path(onnx_path)
    try:
        model = onnx.load(path)
    except OSError as error:
        raise EngineError(
            f"onnx_path: expected a file, got {path} ({error.strerror}). Fix: run the patch"
        ) from error
    return Plan.of(model, path, Path(engine_path), batch)


def require_tensorrt(purpose: str) -> None:
    """Refuse before TensorRT is touched where it could only crash: without a CUDA device.

    Raises:
        EngineError: There is no CUDA device, or no TensorRT.
    """
    import importlib.util

    import torch

    if not torch.cuda.is_available():
        raise EngineError(
            f"{purpose} needs an NVIDIA GPU with its driver and a CUDA build of torch, and none answers. "
            "Fix: run it on a machine that has one, or stay with the .onnx file"
        )
    if importlib.util.find_spec("tensorrt") is None:
        raise EngineError(f"{purpose} needs TensorRT. Fix: pip install tensorrt")


def shown(progress: bool) -> bool:
    """Whether bars are wanted and would be seen: on a terminal or in a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return progress and (sys.stderr.isatty() or getattr(shell, "kernel", None) is not None)


def _interruptible(work: Callable[[], T], cancel: Event) -> T:
    """Work in a thread of its own, so that Ctrl-C reaches this one while TensorRT holds the other."""
    with ThreadPoolExecutor(1) as pool:
        try:
            future = pool.submit(work)
            while not future.done():
                wait([future], timeout=0.1)
        except KeyboardInterrupt:
            cancel.set()  # the next step of the build sees it; leaving the block waits for that
            raise
        return future.result()
