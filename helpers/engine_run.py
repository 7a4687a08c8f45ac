"""Run an engine: pictures in, rows out, through one CUDA binding: torch's tensors and stream.

Buffers are made once, for the most pictures the engine takes. Every status that TensorRT returns is checked;
torch raises for its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from helpers.engine import require_tensorrt
from helpers.engine_header import (
    EngineError,
    built_here,
    check_origin,
    engine_names,
    made_by,
    read_header,
    read_plan,
)

if TYPE_CHECKING:
    import tensorrt as trt
    import torch

__all__ = ["CudaMemory", "Engine"]


class CudaMemory:
    """Buffers on the GPU, and the stream on which everything happens in order.

    Attributes:
        stream: The stream's address, as TensorRT takes it.
    """

    def __init__(self) -> None:
        import torch

        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.stream = int(self._stream.cuda_stream)

    def buffer(self, shape: tuple[int, ...]) -> torch.Tensor:
        """A float32 buffer on the GPU."""
        import torch

        return torch.empty(shape, dtype=torch.float32, device="cuda")

    def upload(self, array: npt.NDArray[np.float32], buffer: torch.Tensor) -> None:
        """Copy an array to the GPU, in the stream."""
        import torch

        with torch.cuda.stream(self._stream):
            buffer.copy_(torch.from_numpy(array))

    def download(self, buffer: torch.Tensor) -> npt.NDArray[np.float32]:
        """Copy a buffer back, once, after all that the stream has before it."""
        import torch

        with torch.cuda.stream(self._stream):
            return np.asarray(buffer.cpu().numpy())


class Engine:
    """A TensorRT engine, ready to run; close to nothing is allocated from one call to the next.

    Args:
        path: The engine.
        trust: Load it although the manifest beside it does not know it. Loading an engine runs code in it.

    Attributes:
        names: Class names, from the header.
        size_wh: Width and height of the input, in pixels.
        smallest_batch: The fewest pictures in one call.
        largest_batch: The most pictures in one call.
        dynamic: Whether anything between is fine, too.
        rows_shape: Of one picture's rows: slots and columns.

    Raises:
        EngineError: Not built here and not trusted, no GPU, another TensorRT, platform or GPU, or cut off.
    """

    names: tuple[str, ...]
    size_wh: tuple[int, int]
    smallest_batch: int
    largest_batch: int
    dynamic: bool
    rows_shape: tuple[int, ...]

    def __init__(self, path: str | Path, *, trust: bool = False) -> None:
        self.path = Path(path)
        self._made_by = made_by(self.path)
        if not trust and not built_here(self.path):
            raise EngineError(
                f"{self.path}: the manifest beside it does not know it, and loading an engine runs code "
                "in it. Fix: build it here, or pass trust=True if you know where it comes from"
            )
        require_tensorrt(f"running {self.path.name}")
        data = read_plan(self.path)
        self._check_origin()
        self.names = engine_names(self.path) if read_header(self.path).get("names") else ()
        self._cuda = CudaMemory()
        self._open(data)

    def infer(self, images_nchw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Detections of letterboxed pictures.

        Args:
            images_nchw: `[B,3,H,W]` float32, RGB in 0..1.

        Returns:
            `[B,100,6]`: x0, y0, x1, y1 in input pixels, score, class; zero rows are no detections.

        Raises:
            EngineError: Another shape or type, or TensorRT reports a failure.
        """
        count = self._check_images(images_nchw)
        context: trt.IExecutionContext = self._context
        images, rows = self._images[:count], self._rows[:count]
        self._cuda.upload(np.require(images_nchw, requirements=["C", "W"]), images)
        if self.dynamic:
            self._done(context.set_input_shape(self._input, _dims(tuple(images.shape))), "set_input_shape")
        self._done(context.execute_async_v3(self._cuda.stream), "execute_async_v3")
        return self._cuda.download(rows)

    def _open(self, data: bytes) -> None:
        """Make engine, context and buffers, and tell the context where they are."""
        import tensorrt as trt

        from helpers.engine_build import load_plan, shape_of

        try:
            engine, self._runtime = load_plan(data, host_code=bool(self._made_by.get("version_compatible")))
        except EngineError as error:
            raise EngineError(
                f"{self.path}: {error} It was {self._origin()}. Fix: build it again here"
            ) from error
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        types = {engine.get_tensor_dtype(name) for name in names}
        if len(inputs) != 1 or len(outputs) != 1 or types != {trt.DataType.FLOAT}:
            raise EngineError(
                f"{self.path}: expected one float32 input and output, got {inputs} and {outputs}. "
                "Fix: build it with helpers.engine.build_engine"
            )
        (self._input,), (output,) = inputs, outputs
        shape, out = shape_of(engine.get_tensor_shape(self._input)), shape_of(engine.get_tensor_shape(output))
        self.dynamic = shape[0] < 0
        profile = engine.get_tensor_profile_shape(self._input, 0) if self.dynamic else []
        fewest, _, most = [shape_of(dims) for dims in profile] or [shape] * 3
        context = engine.create_execution_context()
        if context is None:
            raise EngineError(f"{self.path}: TensorRT made no context. Fix: free GPU memory")
        self._engine, self._context = engine, context
        self.smallest_batch, self.largest_batch, self.rows_shape = fewest[0], most[0], out[1:]
        self.size_wh, self._shape = (most[3], most[2]), most
        self._images, self._rows = self._cuda.buffer(most), self._cuda.buffer((most[0], *out[1:]))
        for name, buffer in ((self._input, self._images), (output, self._rows)):
            self._done(context.set_tensor_address(name, buffer.data_ptr()), f"set_tensor_address {name}")

    def _check_origin(self) -> None:
        """Compare what built the file with what is here, before its plan is handed over."""
        import torch

        from helpers.engine_build import tensorrt_version

        capability = "compute capability {}.{}".format(*torch.cuda.get_device_capability())
        here = {"platform": sys.platform, "tensorrt": tensorrt_version(), "gpu": capability}
        check_origin(self.path, here)

    def _origin(self) -> str:
        version = self._made_by.get("tensorrt")
        return (
            f"built by TensorRT {version}" if version else "built elsewhere; its header does not say by what"
        )

    def _check_images(self, images_nchw: npt.NDArray[np.float32]) -> int:
        count, found = len(images_nchw), (images_nchw.shape, images_nchw.dtype)
        fits = max(1, self.smallest_batch) <= count <= self.largest_batch
        if images_nchw.dtype != np.float32 or images_nchw.shape[1:] != self._shape[1:] or not fits:
            fewer = f" or fewer, down to {self.smallest_batch}" if self.dynamic else ""
            raise EngineError(
                f"images_nchw: expected float32 {list(self._shape)}{fewer}, got {found[1]} "
                f"{list(found[0])}. Fix: letterbox to {self.size_wh}"
            )
        return count

    def _done(self, status: bool, call: str) -> None:
        if not status:
            raise EngineError(f"{self.path.name}: TensorRT's {call} failed. Fix: its log has the reason")


def _dims(shape: tuple[int, ...]) -> trt.Dims:
    import tensorrt as trt

    return trt.Dims(shape)
