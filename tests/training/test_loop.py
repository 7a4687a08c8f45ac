"""The loop on a very small network: it learns, and neither an interruption nor a kill changes anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from helpers.checkpoint import load_checkpoint
from helpers.detections import iou_matrix
from helpers.family import Tiny
from helpers.network import Network, build_network
from helpers.training.datasets import Sample
from helpers.training.loop import TrainingConfig, TrainingError, TrainingResult, train
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


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Sums in one order, and no time lost on threads for a network this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """Six steps without an interruption."""
    config = replace(CONFIG, out=tmp_path_factory.mktemp("straight"))
    return train(config, make_network(), Squares())


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
    config = replace(CONFIG, out=tmp_path, steps=120, warmup=10, decay=0.9, save_every=1000, auxiliary=False)
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


def same_weights(first: Network, second: Network) -> None:
    other = second.state_dict()
    for name, value in first.state_dict().items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize(("accumulate", "workers"), [(1, 1), (2, 0)])
def test_interrupted_run_ends_with_the_same_weights(
    tmp_path: Path, straight: TrainingResult, accumulate: int, workers: int
) -> None:
    common = replace(CONFIG, accumulate=accumulate)
    whole = straight
    if accumulate > 1:
        whole = train(replace(common, out=tmp_path / "whole"), make_network(), Squares())
    config = replace(common, out=tmp_path / "parts", workers=workers)
    part = train(config, make_network(), Squares(), stop_at=3)
    assert (part.step, part.interrupted, whole.interrupted) == (3, True, False)
    with (config.out / "history.jsonl").open("a") as file:
        file.write(json.dumps({"step": 4, "box": 9.0}) + "\n")  # written after the last state: must go
    torch.manual_seed(99)
    resumed = train(config, make_network(), Squares())
    assert resumed.step == whole.step == 6
    assert resumed.seconds > 0
    same_weights(whole.average, resumed.average)
    assert history(resumed.history) == history(whole.history)


def test_same_seed_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    results = [
        train(replace(CONFIG, out=tmp_path / str(index), steps=2, seed=seed), make_network(), Squares())
        for index, seed in enumerate((0, 0, 1))
    ]
    same_weights(results[0].average, results[1].average)
    first = [result.average.state_dict()["model.3.conv.weight"] for result in results[1:]]
    assert not torch.equal(*first)  # the auxiliary head starts otherwise


def test_each_step_takes_as_many_batches_as_are_accumulated(tmp_path: Path) -> None:
    asked: list[int] = []

    class Asked(Squares):
        def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
            asked.append(step)
            return super().__getitem__(step)

    config = replace(CONFIG, out=tmp_path, accumulate=3, steps=2)
    train(config, make_network(), Asked(), stop_at=1)
    train(config, make_network(), Asked())
    assert asked == [0, 1, 2, 3, 4, 5]


def test_the_saved_weights_are_the_average_in_deploy_form(tmp_path: Path) -> None:
    """The auxiliary head is not in the file, and the file computes what the average computes."""
    result = train(replace(CONFIG, out=tmp_path, steps=2), make_network(), Squares())
    checkpoint = load_checkpoint(result.weights)
    assert set(checkpoint.state_dict) == set(make_network().state_dict())
    assert checkpoint.metadata["step"] == "2"
    for name, value in result.average.state_dict().items():
        assert torch.equal(checkpoint.state_dict[name], value.half() if value.is_floating_point() else value)
    images = Squares()[0][0]
    found, expected = build_network(checkpoint)(images), result.average(images)
    assert torch.allclose(found[..., 4:], expected[..., 4:], atol=1e-3)


SCRIPT = """
import os, signal, sys, torch
sys.path[:0] = {path!r}
from pathlib import Path
from types import SimpleNamespace
from tests.training.test_loop import CONFIG, Squares, make_network, replace, train

class Slow(Squares):
    def __getitem__(self, step):
        if step == 3 and {how!r} == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        return super().__getitem__(step)

def killed_while_writing(state, path):
    saved(state, path)
    if state["step"] == 4:
        Path(path).write_bytes(Path(path).read_bytes()[:1000])
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    torch.set_num_threads(1)
    if {how!r} == "kill":
        saved, torch.save = torch.save, killed_while_writing
    result = train(replace(CONFIG, out=Path({out!r})), make_network(), Slow())
    print(result.step, result.interrupted)
"""


@pytest.mark.parametrize(("how", "code", "step"), [("interrupt", 0, 4), ("kill", -9, 2)])
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_interrupted_or_killed_from_outside(
    tmp_path: Path, straight: TrainingResult, how: str, code: int, step: int
) -> None:
    """Ctrl-C finishes the step it comes in and saves; a kill amid a write leaves the save before."""
    script = tmp_path / "script.py"
    root = str(Path(__file__).resolve().parents[2])
    script.write_text(SCRIPT.format(how=how, out=str(tmp_path / "parts"), path=[root]))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout.split() == ([str(step), "True"] if how == "interrupt" else [])
    state = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)
    assert state["step"] == step
    load_checkpoint(tmp_path / "parts" / "weights.safetensors")
    resumed = train(replace(CONFIG, out=tmp_path / "parts"), make_network(), Squares())
    same_weights(straight.average, resumed.average)
    assert not list((tmp_path / "parts").glob(".*"))


def test_handlers_are_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(replace(CONFIG, out=tmp_path, steps=1), make_network(), Squares())
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    class Twice(Squares):
        def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
            if step == 2:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().__getitem__(step)

    with pytest.raises(KeyboardInterrupt):
        train(replace(CONFIG, out=tmp_path), make_network(), Twice())
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2


def test_every_line_of_the_history_is_handed_out(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = []
    config = replace(CONFIG, out=tmp_path, steps=4, log_every=2)
    result = train(config, make_network(), Squares(), on_log=lambda line: lines.append(dict(line)))
    assert lines == [json.loads(line) for line in result.history.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert {"box", "objectness", "classes", "auxiliary", "positives", "auxiliary_positives"} <= set(lines[0])


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
    assert result.best is not None
    assert load_checkpoint(result.best).metadata["AP50"] == str(entry["AP50"])


def test_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.25, 0.5, 0.5, 0.375])

    def report(*_: object) -> SimpleNamespace:
        score = next(scores)
        return SimpleNamespace(ap=score / 2, ap50=score, ap50_per_class={"green": score})

    monkeypatch.setattr("helpers.training.evaluation.evaluate", report)
    config = replace(CONFIG, out=tmp_path, steps=8, evaluate_every=2, save_every=4, log_every=100)
    sample = Sample.of(np.zeros((48, 64, 3), np.uint8), [[8, 8, 40, 40]], [1])
    train(config, make_network(), Squares(), [sample], stop_at=4)
    result = train(config, make_network(), Squares(), [sample])
    assert result.best is not None
    best = load_checkpoint(result.best)
    assert (best.metadata["step"], best.metadata["AP50"]) == ("4", "0.5")
    assert not torch.equal(
        best.state_dict["model.0.conv.weight"],
        load_checkpoint(result.weights).state_dict["model.0.conv.weight"],
    )


def test_bfloat16_forward_trains(tmp_path: Path) -> None:
    result = train(replace(CONFIG, out=tmp_path, steps=2, autocast=True), make_network(), Squares())
    assert all(value.dtype != torch.bfloat16 for value in result.average.state_dict().values())
