"""The files of a training run, each written so that a kill at any moment leaves a whole one.

| file | what it is |
|---|---|
| `state.pt` | everything that going on depends on; `state-before.pt` is the one before it |
| `history.jsonl` | losses and running precision, one line each |
| `weights.safetensors` | the averaged weights at the last save, in deploy form |
| `best.safetensors` | the same at the best running AP50 |
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from helpers.checkpoint import save_checkpoint
from helpers.training.deploy import deployed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from helpers.network import Network

__all__ = ["RunFiles", "TrainingError", "durable_path"]

_DAMAGE = (EOFError, KeyError, OSError, RuntimeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile)


class TrainingError(RuntimeError):
    """Training cannot go on: the message says why and what to do."""


@contextmanager
def durable_path(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block ends well, once its content is on the disk.

    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp(), "a.txt")
    >>> with durable_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text(), len(list(target.parent.iterdir()))
    ('whole', 1)
    """
    temporary = path.with_name(f".{path.stem}-partial{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name != "nt":  # a folder's entries are flushed too; Windows has no call for it
        _flush(path.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RunFiles:
    """The files in the folder of one run.

    Args:
        folder: made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state, self.before = folder / "state.pt", folder / "state-before.pt"
        self.history = folder / "history.jsonl"
        self.weights, self.best = folder / "weights.safetensors", folder / "best.safetensors"

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write the state; the one before it is kept, for a disk that loses the last."""
        with durable_path(self.state) as temporary:
            torch.save(dict(state), temporary)
            if self.state.exists():
                self.state.replace(self.before)

    def read_state(self) -> dict[str, Any] | None:
        """The newest state that can be read; None in a folder without one.

        Raises:
            TrainingError: there are states, and none can be read.
        """
        found = [path for path in (self.state, self.before) if path.exists()]
        for path in found:
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except _DAMAGE:
                continue
            return state
        if found:
            message = (
                f"{self.state}: expected a state of training, got damaged files; delete them, or start from "
                f"{self.weights} in another folder"
            )
            raise TrainingError(message)
        return None

    def append(self, entry: Mapping[str, object]) -> None:
        """Add a line to the history."""
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def read_history(self) -> list[dict[str, Any]]:
        """The history; a last line that a kill cut off is left out."""
        if not self.history.exists():
            return []
        entries = []
        for line in self.history.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(dict(json.loads(line)))
            except ValueError:
                break
        return entries

    def cut_history(self, step: int) -> None:
        """Drop what was written after a step."""
        kept = [entry for entry in self.read_history() if entry["step"] <= step]
        with durable_path(self.history) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")

    def write_weights(self, network: Network, path: Path, **facts: object) -> None:
        """Write a network in deploy form, with what is known of it beside."""
        metadata = {name: str(value) for name, value in facts.items()}
        with durable_path(path) as temporary:
            save_checkpoint(deployed(network, metadata), temporary)
