"""One step: devices, accumulation, averages, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import official_form
import pytest
import torch

from helpers.checkpoint import load_checkpoint
from helpers.network import build_network
from helpers.training.config import TrainingConfig
from helpers.training.deploy import deployed
from helpers.training.run import Run, choose_device, has_bfloat16
from helpers.training.run_files import TrainingError
from helpers.training.start import start_training

CONFIG = TrainingConfig(Path("unset"), steps=6, peak=0.01, warmup=0, autocast=False, device="cpu")


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.tensor([[0, 0, 30, 20, 24, 24], [1, 1, 20, 40, 30, 12]]).float()
    return torch.rand(2, 3, 64, 64, generator=generator), targets


def make(tmp_path: Path, **changes: object) -> Run:
    network = start_training("", ["a", "b"], width_multiple=0.125).network
    return Run(replace(CONFIG, out=tmp_path, **changes), network)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["no-such", "cuda:x"])
def test_devices_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="device: expected auto, cpu or cuda, got"):
        choose_device(name)


def test_auto_takes_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for here, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda here=here: here)
        assert choose_device("auto").type == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="got cuda without a CUDA device; use auto"):
        choose_device("cuda")


def test_accumulated_gradients_are_their_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same batch is once the batch, BatchNorm's running statistics aside."""
    norms: list[float] = []

    def clip(weights: list[torch.nn.Parameter], limit: float) -> torch.Tensor:
        norms.append(float(torch.nn.utils.clip_grad_norm_(weights, limit)))
        return torch.tensor(norms[-1])

    monkeypatch.setattr("helpers.training.run.clip_grad_norm_", clip)
    once, twice, other = (make(tmp_path / str(index)) for index in range(3))
    once.advance([batch()])
    twice.advance([batch(), batch()])
    other.advance([batch(), batch(1)])
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
    assert norms[2] != pytest.approx(norms[0], rel=1e-3)
    for name, value in once.network.named_parameters():
        assert torch.allclose(value, dict(twice.network.named_parameters())[name], atol=1e-5), name
    weights = [run.network.head.m[0].weight for run in (once, other)]
    assert not torch.allclose(*weights, atol=1e-4)  # type: ignore[arg-type]


def test_the_auxiliary_head_is_trained_and_not_averaged(tmp_path: Path) -> None:
    run = make(tmp_path)
    assert run.auxiliary is not None
    before = [value.clone() for value in run.auxiliary.parameters()]
    parts = run.advance([batch()])
    assert parts.auxiliary > 0
    assert all(not torch.equal(a, b) for a, b in zip(before, run.auxiliary.parameters(), strict=True))
    assert set(run.average.network.state_dict()) == set(run.network.state_dict())


@pytest.mark.parametrize(("steps", "ramp"), [(8, 1.0), (480, 60.0), (2400, 300.0), (6000, 300.0)])
def test_a_short_run_warms_its_average_in_an_eighth(tmp_path: Path, steps: int, ramp: float) -> None:
    """Otherwise the average of a few hundred steps is hardly one, and its AP jumps."""
    assert make(tmp_path, steps=steps).average.ramp == ramp


def test_the_auxiliary_head_changes_what_the_network_learns(tmp_path: Path) -> None:
    with_it, without = make(tmp_path / "a"), make(tmp_path / "b", auxiliary=False)
    assert without.auxiliary is None
    assert without.advance([batch()]).auxiliary == 0
    with_it.advance([batch()])
    first = [run.network.model[3].conv.weight for run in (with_it, without)]  # type: ignore[union-attr]
    assert not torch.equal(*first)  # type: ignore[arg-type]


def test_it_starts_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    first = make(tmp_path / "a")
    torch.rand(7)
    again = make(tmp_path / "b")
    assert first.auxiliary is not None
    assert again.auxiliary is not None
    for one, other in zip(first.auxiliary.parameters(), again.auxiliary.parameters(), strict=True):
        assert torch.equal(one, other)


def test_gradients_that_are_not_finite_are_skipped_ten_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path)
    before = run.network.model[0].conv.weight.clone()  # type: ignore[union-attr,operator]
    monkeypatch.setattr("helpers.training.run.clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    for _ in range(9):
        run.advance([batch()])
    assert torch.equal(run.network.model[0].conv.weight, before)  # type: ignore[union-attr,arg-type]
    with pytest.raises(TrainingError, match="got none in 10 steps up to 9; lower `peak`"):
        run.advance([batch()])


def test_weight_decay_spares_biases_and_norms(tmp_path: Path) -> None:
    groups = make(tmp_path).optimiser.param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert {value.ndim for value in groups[0]["params"]} == {4}
    assert {value.ndim for value in groups[1]["params"]} == {1}


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    make(tmp_path).save()
    other = Run(replace(CONFIG, out=tmp_path), start_training("", ["a"], width_multiple=0.125).network)
    with pytest.raises(TrainingError, match="of another network; choose another folder"):
        other.resume()


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    make(tmp_path).save()
    network = start_training("", ["a", "b"], width_multiple=0.125).network
    with pytest.raises(TrainingError, match="another configuration"):
        Run(replace(CONFIG, out=tmp_path), network, recipe="real pictures only").resume()


def step_from(path: Path, tmp_path: Path) -> Run:
    """One step from a checkpoint of the official form, for other classes, and a save."""
    network = start_training(path, ["b", "new"]).network
    run = Run(replace(CONFIG, out=tmp_path / "run", peak=1e-4), network)
    images, targets = batch()
    run.advance([(torch.nn.functional.interpolate(images, 128), targets)])
    run.save()
    return run


@pytest.mark.parametrize("head", ["Detect", "IDetect", "IAuxDetect"])
def test_official_files_of_every_head_are_trained_on(tmp_path: Path, head: str) -> None:
    path = official_form.save(tmp_path / "best.pt", official_form.make_model(head))
    run = step_from(path, tmp_path)
    assert run.network.names == ("b", "new")
    assert run.auxiliary is not None
    assert bool(run.auxiliary.rows) == (head != "IAuxDetect")
    saved = load_checkpoint(tmp_path / "run" / "weights.safetensors")
    assert saved.architecture.rows[-1].module == "Detect"
    rebuilt, pictures = build_network(deployed(run.average.network)), batch()[0]
    assert torch.allclose(rebuilt(pictures), run.average.network(pictures), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["genuine-structure-yolov7-tiny", "training-yolov7", "training-yolov7-e6e"])
def test_released_structures_are_trained_on(fixtures: Path, tmp_path: Path, name: str) -> None:
    run = step_from(fixtures / f"{name}.pt", tmp_path)
    assert run.step == 1
    saved = load_checkpoint(tmp_path / "run" / "weights.safetensors")
    assert (saved.architecture.rows[-1].module, saved.names) == ("Detect", ("b", "new"))


@pytest.mark.parametrize(
    ("able", "expected"),
    [({}, False), ({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_bfloat16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert has_bfloat16(torch.device("cpu")) is expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not has_bfloat16(torch.device("cpu")), "a torch that cannot tell"


def test_levels_are_in_bfloat16_only_where_that_is_fast(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = start_training("", ["cell"], width_multiple=0.125).network
    run = Run(replace(CONFIG, out=tmp_path, autocast=True), network)
    for able, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("helpers.training.run.has_bfloat16", lambda _, able=able: able)
        lead, auxiliary = run.levels(torch.zeros(1, 3, 64, 64))
        assert {level.dtype for level in (*lead, *auxiliary)} == {dtype}
