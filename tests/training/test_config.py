"""The fingerprint holds what the weights depend on, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from helpers.training.assigner import AssignerConfig
from helpers.training.config import TrainingConfig
from helpers.training.loss import LossConfig

CONFIG = TrainingConfig(Path("a"))
OTHER: dict[str, object] = {
    "out": Path("b"), "device": "cpu", "workers": 7, "log_every": 1, "save_every": 1, "evaluate_every": 1,
    "evaluate_size": 32, "progress": False,
}  # fmt: skip


@pytest.mark.parametrize("name", [item.name for item in fields(TrainingConfig)])
def test_fingerprint(name: str) -> None:
    value = getattr(CONFIG, name)
    changed = OTHER.get(name, LossConfig(assigner=AssignerConfig(top_ious=3)) if name == "loss" else None)
    if changed is None:
        changed = not value if isinstance(value, bool) else value + 1
    same = replace(CONFIG, **{name: changed}).fingerprint() == CONFIG.fingerprint()  # type: ignore[arg-type]
    assert same == (name in OTHER)
