"""What the inspector of this TensorRT writes: its words for types, and which layers compute in what."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gpu_support import Engines, Note

from helpers.engine_build import load_plan, tensorrt_version
from helpers.engine_header import read_plan
from helpers.engine_layers import read_layers


def inspect(path: Path) -> str:
    """The inspector's JSON of an engine."""
    import tensorrt as trt

    engine, _runtime = load_plan(read_plan(path))
    inspector = engine.create_engine_inspector()
    assert inspector is not None
    return inspector.get_engine_information(trt.LayerInformationFormat.JSON)


def words(text: str) -> dict[str, Counter[str]]:
    """Every spelling of a type or format, and every kind of layer, with how often it stands there."""
    found: dict[str, Counter[str]] = {
        "Format/Datatype": Counter(),
        "Datatype": Counter(),
        "LayerType": Counter(),
    }
    layers: list[dict[str, Any]] = [layer for layer in json.loads(text)["Layers"] if isinstance(layer, dict)]
    for layer in layers:
        found["LayerType"][str(layer.get("LayerType"))] += 1
        for tensor in (*layer.get("Inputs", ()), *layer.get("Outputs", ())):
            for key in ("Format/Datatype", "Datatype", "DataType"):
                if key in tensor:
                    found.setdefault(key, Counter())[str(tensor[key])] += 1
    return found


@pytest.mark.parametrize("kind", ["fp16", "fp32"])
def test_precisions_are_read_back(engines: Engines, folder: Path, kind: str, note: Note) -> None:
    text = inspect(engines.reports[kind].path)
    (folder / f"inspector-{tensorrt_version()}-{kind}.json").write_text(text, encoding="utf-8")
    spellings = words(text)
    note(str({key: dict(counter) for key, counter in spellings.items()}))
    layers, names = read_layers(text)
    assert "images" in names
    computing = [layer for layer in layers if layer.computes]
    silent = [layer.name for layer in computing if layer.precision == "?"]
    assert len(silent) < 0.1 * len(computing), f"types that are not understood: {silent[:5]}, {spellings}"
    convolutions = [layer for layer in computing if "conv" in layer.kind.lower()]
    kinds = {layer.precision for layer in convolutions}
    assert kinds, spellings["LayerType"]
    if kind == "fp16":
        assert Counter(layer.precision for layer in convolutions).most_common(1)[0][0] == "fp16", kinds
    else:
        assert "fp16" not in {layer.precision for layer in computing}


def test_the_tail_computes_in_fp32(engines: Engines) -> None:
    """Of what comes after the head, nothing reads FP16 but the casts."""
    layers, _ = read_layers(inspect(engines.reports["fp16"].path))
    tail = [layer for layer in layers if layer.computes and "nms/" in layer.name.lower()]
    assert all(layer.precision != "fp16" for layer in tail), tail
