"""A TensorRT engine in the place of an ONNX Runtime session, so that `Detector` runs both alike.

What `Detector` asks of a session is little: the provider, one input, one output, the metadata, and `run`.
Names, stride and size come from the JSON header in front of the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from helpers.engine_header import EngineError, read_header
from helpers.engine_run import Engine

__all__ = ["EngineSession", "looks_like_engine"]

TENSORRT = "TensorRT"


@dataclass(frozen=True)
class Port:
    """An input or output, as ONNX Runtime describes one; an open batch has a name instead of a number."""

    name: str
    type: str
    shape: list[int | str]


class EngineSession:
    """An engine, asked as an `onnxruntime.InferenceSession` is asked.

    Args:
        path: The engine.
        providers: None, "cuda" or "TensorRT"; an engine runs nowhere else.
        trust: Load it although the manifest beside it does not know it. Loading an engine runs code in it.

    Raises:
        EngineError: Another provider, or `helpers.engine_run.Engine` refuses the file.
    """

    def __init__(
        self, path: str | Path, *, providers: str | Sequence[str] | None = None, trust: bool = False
    ) -> None:
        if providers is not None and providers not in ("cuda", TENSORRT, [TENSORRT]):
            raise EngineError(
                f"providers: expected none, 'cuda' or '{TENSORRT}' for an engine, got {providers!r}. "
                "Fix: leave it out, or name the .onnx file that the engine was built from"
            )
        self._header = read_header(path)
        self._engine = Engine(path, trust=trust)

    def get_providers(self) -> list[str]:
        """Where it runs."""
        return [TENSORRT]

    def get_inputs(self) -> list[Port]:
        """`images` `[B,3,H,W]`."""
        width, height = self._engine.size_wh
        return [Port("images", "tensor(float)", [self._batch, 3, height, width])]

    def get_outputs(self) -> list[Port]:
        """`[B,100,6]`."""
        return [Port("output", "tensor(float)", [self._batch, *self._engine.rows_shape])]

    def get_modelmeta(self) -> SimpleNamespace:
        """The header, in the form of an ONNX file's metadata: everything is text."""
        header = dict(self._header)
        names = header.get("names")
        if isinstance(names, dict):  # JSON made text of the class numbers
            header["names"] = {int(key): names[key] for key in sorted(names, key=int)}
        return SimpleNamespace(custom_metadata_map={key: str(value) for key, value in header.items()})

    def run(
        self, _outputs: None, feed: Mapping[str, npt.NDArray[np.float32]], _options: Any = None
    ) -> list[npt.NDArray[np.float32]]:
        """Rows of pictures, in as many calls as the engine's largest batch asks for.

        Args:
            feed: `images` `[B,3,H,W]` float32, RGB in 0..1, letterboxed.

        Returns:
            One array, `[B,100,6]`.

        Raises:
            EngineError: Another shape or type, or TensorRT reports a failure.
        """
        images_nchw, most = feed["images"], self._engine.largest_batch
        chunks = [images_nchw[start : start + most] for start in range(0, len(images_nchw), most)]
        return [np.concatenate([self._infer(chunk) for chunk in chunks or [images_nchw]])]

    def _infer(self, images_nchw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """One call; a profile that begins at more pictures than there are is filled up with black ones."""
        count = len(images_nchw)
        if 0 < count < self._engine.smallest_batch:
            missing = self._engine.smallest_batch - count
            black = np.zeros((missing, *images_nchw.shape[1:]), images_nchw.dtype)
            images_nchw = np.concatenate([images_nchw, black])
        return self._engine.infer(images_nchw)[:count]

    @property
    def _batch(self) -> int | str:
        return "batch" if self._engine.dynamic else self._engine.largest_batch


def looks_like_engine(path: str | Path) -> bool:
    """Whether a file is meant as an engine: by its name, by the header, or by how a plan begins.

    Example:
        >>> looks_like_engine("a.engine"), looks_like_engine("a.onnx")
        (True, False)
    """
    path = Path(path)
    if path.suffix == ".engine":
        return True
    try:
        with path.open("rb") as file:
            head = file.read(5)
    except OSError:
        return False
    return head[4:5] == b"{" or head[:4] in (b"ftrt", b"ptrt")
