"""From the network that was trained to the one that is deployed: no auxiliary head, no implicit layers.

BatchNorm and the branches of RepConv stay as they are, so that training can go on from the file; the export
folds them (`helpers.network.fuse`). This is the form in which the official deploy files come.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from helpers.checkpoint import Checkpoint

if TYPE_CHECKING:
    from helpers.network import Network
    from helpers.rows import LayerRow

__all__ = ["deployed"]


def deployed(network: Network, metadata: dict[str, str] | None = None) -> Checkpoint:
    """A checkpoint in deploy form; the network is left as it is.

    Args:
        network: with any kind of head.
        metadata: free text to carry along.

    >>> from helpers.family import describe
    >>> from helpers.network import build_network
    >>> training = build_network(describe("yolov7-tiny", ("cell",), training=True, width_multiple=0.125))
    >>> training.architecture.rows[-1].module, deployed(training).architecture.rows[-1].module
    ('IDetect', 'Detect')
    """
    network = copy.deepcopy(network).cpu().eval()
    network.head.fuse()
    old, levels = network.architecture.rows, len(network.strides)
    needed = _needed(old, levels)
    place = {index: new for new, index in enumerate(needed)}
    rows = []
    for index in needed:
        row, sources = old[index], old[index].sources
        if index == needed[-1]:
            row, sources = replace(row, module="Detect"), sources[:levels]
        moved = tuple(_source(s, index, place) for s in sources)
        rows.append(replace(row, source=moved if isinstance(row.source, tuple) else moved[0]))
    state = {}
    for name, value in network.state_dict().items():
        _, index_text, rest = name.split(".", 2)
        if int(index_text) in place:
            state[f"model.{place[int(index_text)]}.{rest}"] = value
    return Checkpoint(replace(network.architecture, rows=tuple(rows)), state, metadata or {})


def _needed(rows: tuple[LayerRow, ...], levels: int) -> list[int]:
    """Rows that the lead head's levels depend on, in order; the rest served the auxiliary head."""
    needed = {len(rows) - 1}
    for index in range(len(rows) - 1, 0, -1):
        if index in needed:
            sources = rows[index].sources[: levels if index == len(rows) - 1 else None]
            needed.update(index + s if s < 0 else s for s in sources)
    return sorted(needed)


def _source(source: int, index: int, place: dict[int, int]) -> int:
    """Where a row's source is once rows are gone; counted back from the row if it was."""
    if index == 0 or (source == -1 and place.get(index - 1) == place[index] - 1):
        return source
    new = place[index + source if source < 0 else source]
    return new - place[index] if source < 0 else new
