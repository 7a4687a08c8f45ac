"""The moving parts of a training run: weights, their average, the optimiser's memory, the step."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from helpers.training.auxiliary import AuxiliaryHead
from helpers.training.loss import LossParts, lead_guided_loss
from helpers.training.run_files import RunFiles, TrainingError
from helpers.training.schedule import Average, learning_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from helpers.network import Network
    from helpers.training.config import TrainingConfig
    from helpers.training.datasets import Sample

__all__ = ["Run", "choose_device", "has_bfloat16"]

Log = "Callable[[Mapping[str, object]], None]"
_BFLOAT16_FROM = (8, 0)  # compute capability; older GPUs have no bfloat16 units


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is CUDA where there is one, else the CPU.

    Raises:
        ValueError: torch does not know the name, or this machine has no such device.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: expected auto, cpu or cuda, got {name[:40]!r}; use auto") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: expected one that is here, got cuda without a CUDA device; use auto")
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for bfloat16; a processor without them takes up to seven times as long.

    >>> has_bfloat16(torch.device("cpu")) in (True, False)
    True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _BFLOAT16_FROM
    if device.type == "cpu":
        able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return True


def _apart(state: Mapping[str, object], fingerprint: str) -> str:
    """Which settings differ, of two fingerprints of the same layout.

    >>> _apart({"config": '{"seed": 0} R(size=64)'}, '{"seed": 0} R(size=96)')
    'size 64, not 96'
    """
    old, new = (
        re.findall(r"(\w+)\"?[:=] ?([^,{}()\[]+)", str(t)) for t in (state.get("config"), fingerprint)
    )
    if [name for name, _ in old] != [name for name, _ in new]:
        return "written by another version"
    told = (f"{a[0]} {a[1]}, not {b[1]}" for a, b in zip(old, new, strict=True) if a != b)
    return "; ".join(dict.fromkeys(told)) or "other batches"


class Run:
    """One training run, between steps.

    Args:
        config: how.
        network: changed in place, and moved to the device.
        validation: pictures for the running evaluation.
        on_log: is given every line of the history as it is written.
        recipe: what the batches are made of, in words: a state of another recipe is not gone on from.
    """

    def __init__(
        self,
        config: TrainingConfig,
        network: Network,
        validation: Sequence[Sample] = (),
        on_log: Callable[[Mapping[str, object]], None] | None = None,
        recipe: str = "",
    ) -> None:
        self.config, self.network, self.validation, self.on_log = config, network, validation, on_log
        self.device, self.fingerprint = choose_device(config.device), f"{config.fingerprint()} {recipe}"
        self.files = RunFiles(config.out)
        self.auxiliary: AuxiliaryHead | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            if config.auxiliary:
                self.auxiliary = AuxiliaryHead(network)
        self.modules: list[nn.Module] = [network, *([self.auxiliary] if self.auxiliary else [])]
        for module in self.modules:
            module.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = Average(network, config.decay, ramp=min(300.0, config.steps / 8))
        self.architecture = network.architecture
        self.anchors_px = torch.tensor(self.architecture.anchors_px, device=self.device)
        weights = [v for module in self.modules for v in module.parameters() if v.requires_grad]
        groups = [
            {"params": [value for value in weights if value.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [value for value in weights if value.ndim <= 1], "weight_decay": 0.0},
        ]
        self.weights = weights
        self.optimiser = torch.optim.AdamW(groups, lr=config.peak, betas=(0.9, 0.99), fused=True)
        self.step, self.seconds, self.skipped, self.best = 0, 0.0, 0, -1.0

    def advance(self, batches: Sequence[tuple[Tensor, Tensor]]) -> LossParts:
        """One step of the optimiser, on the summed gradients of the batches.

        Raises:
            TrainingError: the loss is not finite, or the gradient was not for ten steps.
        """
        config, started = self.config, time.perf_counter()
        rate = learning_rate(self.step, config.steps, peak=config.peak, warmup=config.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        for images_nchw, targets in batches:
            parts = self._loss(images_nchw, targets)
            (parts.total / len(batches)).backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(self.weights, config.clip)
        if bool(norm.isfinite()):
            self.optimiser.step()
            self.average.update(self.network, self.step)
            self.skipped = 0
        else:
            self._skip()
        self.step += 1
        self.seconds += time.perf_counter() - started
        return parts

    def _loss(self, images_nchw: Tensor, targets: Tensor) -> LossParts:
        images_nchw = images_nchw.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        targets = targets.to(self.device, non_blocking=True)
        lead, auxiliary = self.levels(images_nchw)
        parts = lead_guided_loss(
            lead, auxiliary, targets, self.anchors_px, self.architecture.strides, self.config.loss
        )
        if not bool(parts.total.isfinite()):
            found = f"got {parts.total.item()} at step {self.step}"
            raise TrainingError(f"loss: expected a finite value, {found}; lower `peak`")
        return parts

    def levels(self, images_nchw: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Raw logits per level of the lead head, and of the auxiliary head (none without one)."""
        enabled = self.config.autocast and has_bfloat16(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled):
            if self.auxiliary is None:
                return self.network.levels(images_nchw), ()
            return self.auxiliary.both(self.network, images_nchw)

    def _skip(self) -> None:
        self.skipped += 1
        if self.skipped >= 10:
            message = (
                f"gradient: expected finite values, got none in 10 steps up to {self.step}; lower `peak`"
            )
            raise TrainingError(message)

    def log(self, parts: LossParts) -> None:
        """Append the losses to the history."""
        entry: dict[str, object] = {"step": self.step}
        for name in ("box", "objectness", "classes", "auxiliary"):
            entry[name] = round(getattr(parts, name), 5)
        entry |= {"positives": parts.positives, "auxiliary_positives": parts.auxiliary_positives}
        self._append(entry | {"seconds": round(self.seconds, 1)})

    def evaluate(self) -> None:
        """Append the averaged network's precision on the validation pictures; keep the best weights."""
        if not self.validation:
            return
        from helpers.training.evaluation import evaluate
        from helpers.training.prediction import predictor

        predict = predictor(self.average.network, self.config.evaluate_size)
        report = evaluate(predict, self.validation, self.architecture.names)
        per_class = {name: round(value, 4) for name, value in report.ap50_per_class.items()}
        figures = {"step": self.step, "AP": round(report.ap, 4), "AP50": round(report.ap50, 4)}
        if report.ap50 > self.best:
            self.best = report.ap50
            self.files.write_weights(self.average.network, self.files.best, **figures)
        self._append({**figures, "AP50_per_class": per_class})

    def _append(self, entry: Mapping[str, object]) -> None:
        self.files.append(entry)
        if self.on_log is not None:
            self.on_log(entry)

    def save(self) -> None:
        """Write state and weights."""
        self.files.write_weights(self.average.network, self.files.weights, step=self.step)
        self.files.write_state(
            {
                "step": self.step,
                "seconds": self.seconds,
                "best": self.best,
                "config": self.fingerprint,
                "average": self.average.network.state_dict(),
                "modules": [module.state_dict() for module in self.modules],
                "optimiser": self.optimiser.state_dict(),
                "random": torch.get_rng_state(),
            }
        )

    def resume(self) -> None:
        """Go on from the state in the folder, if there is one; the history is cut back to it.

        Raises:
            TrainingError: the state is of another configuration or of another network, or damaged.
        """
        state = self.files.read_state()
        if state is None:
            self.files.history.unlink(missing_ok=True)
            return
        if state.get("config") != self.fingerprint:
            found = f"{self.files.state} of another configuration ({_apart(state, self.fingerprint)})"
            message = f"out: expected an empty folder or this run's state, got {found}; choose another folder"
            raise TrainingError(message)
        try:
            for module, values in zip(self.modules, state["modules"], strict=True):
                module.load_state_dict(values)
            self.average.network.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (KeyError, RuntimeError, ValueError) as error:
            found = f"{self.files.state} of another network"
            message = f"out: expected an empty folder or this run's state, got {found}; choose another folder"
            raise TrainingError(message) from error
        torch.set_rng_state(state["random"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.files.cut_history(self.step)
