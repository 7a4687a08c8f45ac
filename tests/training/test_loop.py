"""The loop on a very small network: it learns, and an interruption changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from helpers.detections import iou_matrix
from helpers.family import Tiny
from helpers.network import Network, build_network
from helpers.training.datasets import Sample
from helpers.training.loop import TrainingConfig, TrainingError, train
from helpers.training.prior import set_prior_bias

CONFIG = TrainingConfig(
    Path("unset"), steps=6, peak=0.01, warmup=2, workers=0, log_every=1, save_every=2, evaluate_every=100,
    progress=False, autocast=False,
)  # fmt: skip


class Squares(Dataset[tuple[Tensor, Tensor]]):
    """One bright square per picture; a function of the step, or always the same."""

    def __init__(self, fixed: bool = False, broken: bool = False) -> None:
        self.fixed, self.broken = fixed, broken

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0 if self.fixed else step)
        images = torch.zeros(2, 3, 64, 64)
        targets = torch.zeros(2, 6)
        for index in range(2):
            x, y = (int(v) for v in torch.randint(4, 36, (2,), generator=generator))
            images[index, index, y : y + 24, x : x + 24] = float("nan") if self.broken else 1.0
            targets[index] = torch.tensor([index, index, x + 12.0, y + 12.0, 24.0, 24.0])
        return images, targets


def make_network() -> Network:
    torch.manual_seed(1)
    network = build_network(Tiny().architecture(("red", "green"), width_multiple=0.125))
    set_prior_bias(network, 2)
    return network


def history(path: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_no_step_at_all_changes_nothing(tmp_path: Path) -> None:
    network = make_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    result = train(replace(CONFIG, out=tmp_path, steps=0), network, Squares())
    assert result.step == 0
    assert all(torch.equal(value, before[name]) for name, value in result.average.state_dict().items())


def test_overfits_two_pictures(tmp_path: Path) -> None:
    config = replace(CONFIG, out=tmp_path, steps=220, warmup=10, decay=0.9, save_every=1000)
    result = train(config, make_network(), Squares(fixed=True))
    rows = history(result.history)
    first, last = (row["box"] + row["objectness"] + row["classes"] for row in (rows[0], rows[-1]))
    assert last < 0.5 * first
    images, targets = Squares(fixed=True)[0]
    found = result.average(images)
    best = found[torch.arange(2), found[..., 4].argmax(1)]
    low, high = best[:, :2] - best[:, 2:4] / 2, best[:, :2] + best[:, 2:4] / 2
    goal = torch.cat([targets[:, 2:4] - 12, targets[:, 2:4] + 12], 1)
    assert iou_matrix(torch.cat([low, high], 1).detach().numpy(), goal.numpy()).diagonal().min() > 0.5
    assert best[:, 5:].argmax(1).tolist() == [0, 1]


def test_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = train(replace(CONFIG, out=tmp_path / "whole"), make_network(), Squares())
    config = replace(CONFIG, out=tmp_path / "parts")
    assert train(config, make_network(), Squares(), stop_at=3).step == 3
    with (config.out / "history.jsonl").open("a") as file:
        file.write(json.dumps({"step": 4, "box": 9.0}) + "\n")  # written after the last state: must go
    torch.manual_seed(99)
    resumed = train(config, make_network(), Squares())
    assert resumed.step == whole.step == 6
    assert resumed.seconds > 0
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
    assert history(resumed.history) == history(whole.history)


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    config = replace(CONFIG, out=tmp_path, steps=2)
    first = train(config, make_network(), Squares())
    again = train(config, make_network(), Squares(broken=True))
    assert (again.step, again.seconds) == (2, first.seconds)


def test_state_is_plain_data_and_nothing_temporary_stays(tmp_path: Path) -> None:
    train(replace(CONFIG, out=tmp_path, steps=2), make_network(), Squares())
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["step"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.jsonl",
        "state.pt",
        "weights.safetensors",
    ]


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    train(replace(CONFIG, out=tmp_path, steps=2), make_network(), Squares())
    with pytest.raises(TrainingError, match="another configuration"):
        train(replace(CONFIG, out=tmp_path, steps=2, peak=0.5), make_network(), Squares())


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    network = make_network()
    before = network.head.m[0].weight.clone()  # type: ignore[operator,union-attr]
    with pytest.raises(TrainingError, match="lower `peak`"):
        train(replace(CONFIG, out=tmp_path, steps=50), network, Squares(broken=True))
    assert torch.equal(network.head.m[0].weight, before)  # type: ignore[arg-type]


def test_running_evaluation_goes_into_the_history(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    sample = Sample.of(np.zeros((48, 64, 3), np.uint8), [[8, 8, 40, 40]], [1])
    config = replace(CONFIG, out=tmp_path, steps=2, evaluate_every=2, evaluate_size=64, log_every=100)
    result = train(config, make_network(), Squares(), [sample])
    (entry,) = history(result.history)
    assert entry["step"] == 2
    assert 0 <= entry["AP50"] <= 1
    assert list(entry["AP50_per_class"]) == ["green"]  # type: ignore[call-overload]
    assert not result.average.training


def test_worker_process_gives_the_same_run(tmp_path: Path) -> None:
    here = train(replace(CONFIG, out=tmp_path / "a", steps=3), make_network(), Squares())
    there = train(replace(CONFIG, out=tmp_path / "b", steps=3, workers=1), make_network(), Squares())
    for name, value in here.average.state_dict().items():
        assert torch.equal(value, there.average.state_dict()[name]), name


def test_bfloat16_forward_trains(tmp_path: Path) -> None:
    result = train(replace(CONFIG, out=tmp_path, steps=2, autocast=True), make_network(), Squares())
    assert all(value.dtype != torch.bfloat16 for value in result.average.state_dict().values())
