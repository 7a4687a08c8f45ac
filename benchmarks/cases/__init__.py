"""Every case of the benchmark, by its name on the command line, in the order in which it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.cases import graph, growth, path, project

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.row import Row

CASES: dict[str, Callable[[Bench], Row]] = {
    "floor": graph.floor,
    "official": graph.official,
    "picture": path.picture,
    "peers": path.peers,
    "precision": graph.precision,
    "detections": growth.detections,
    "batch": growth.batch,
    "size": growth.size,
    "photo": growth.photo,
    "pictures": project.pictures,
    "convert": project.convert,
    "import": project.import_time,
    "course": project.course,
}
