"""What the GPU tests share, held to account where there is no GPU."""

import json
import subprocess

import pytest
from gpu_support import Agreement, Latency, Row, driver, interleaved, machine, version, without_partner

from helpers.detections import Detections

BOX = [10, 20, 110, 70]


def boxes(*scores, moved=0, kind=0):
    return Detections([[BOX[0] + moved, *BOX[1:]] for _ in scores], list(scores), [kind] * len(scores))


@pytest.mark.parametrize(
    ("found", "others", "alone"),
    [
        (Detections.empty(), Detections.empty(), 0),
        (Detections.empty(), boxes(0.9), 0),
        (boxes(0.9), Detections.empty(), 1),
        (boxes(0.36), Detections.empty(), 0),  # too near the threshold to count
        (boxes(0.3701), Detections.empty(), 1),
        (boxes(0.9), boxes(0.9, kind=1), 1),
        (boxes(0.9), boxes(0.891), 0),
        (boxes(0.9), boxes(0.889), 1),
        (boxes(0.9), boxes(0.9, moved=4), 0),  # IoU 0.96
        (boxes(0.9), boxes(0.9, moved=6), 1),  # IoU 0.94
        (boxes(0.9, 0.5), boxes(0.9), 1),
        (boxes(0.375), boxes(0.368), 0),  # the partner itself may be near the threshold
    ],
)
def test_without_partner(found, others, alone):
    assert len(without_partner(found, others, 0.35)) == alone


def test_agreement_counts_both_sides():
    assert Agreement.of({}) == Agreement(0, 0, ())
    pairs = {"a": (boxes(0.9, 0.5), boxes(0.9)), "b": (boxes(0.9), boxes(0.9)), "c": (boxes(0.36), boxes())}
    assert Agreement.of(pairs, 0.35) == Agreement(5, 1, ("a",))
    turned = {name: (b, a) for name, (a, b) in pairs.items()}
    assert Agreement.of(turned, 0.35) == Agreement(5, 1, ("a",))
    assert Agreement.of(pairs, 0.6).sure == 4


def test_rounds_are_interleaved_after_the_warm_up():
    order, now = [], [0.0]

    def call(name, seconds):
        order.append(name)
        now[0] += seconds

    calls = {"a": lambda: call("a", 0.001), "b": lambda: call("b", 0.25)}
    taken = interleaved(calls, rounds=3, warm_up=2, clock=lambda: now[0])
    assert order == ["a", "a", "b", "b", *"ab", *"ba", *"ab"]
    assert taken == {"a": pytest.approx([1] * 3), "b": pytest.approx([250] * 3)}


def test_the_report_is_written_and_can_be_read(tmp_path):
    slow, fast = Row("picture to boxes", "X", "FP16", True, True), Row("tensor", "Y", "FP32", False, False)
    report = Latency({"GPU": "none"}, 3, 1, [(slow, [4.0, 8.0, 5.0]), (fast, [1.0, 2.0, 9.0])])
    path = report.write(tmp_path / "deep")
    known = json.loads(path.read_text())
    assert (known["machine"], known["rounds"], known["warm_up"]) == ({"GPU": "none"}, 3, 1)
    assert [row["median_ms"] for row in known["rows"]] == [5.0, 2.0]
    assert known["rows"][0]["cuda_graph"] is known["rows"][0]["letterbox"] is True
    assert known["rows"][1]["ms"] == [1.0, 2.0, 9.0]
    text = path.with_suffix(".txt").read_text()
    assert text.startswith("GPU: none\n3 rounds, interleaved, after 1 calls each to warm up\n")
    lines = text.splitlines()[-2:]
    assert lines[0].split() == ["tensor", "Y", "FP32", "no", "out", "2.00", "1.50", "to", "5.50", "500"]
    assert lines[1].split()[-8:] == ["FP16", "yes", "in", "5.00", "4.50", "to", "6.50", "200"]


def test_facts_of_the_machine(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Imaginary GPU")
    said = ["580.95.05\n"]
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=said[0], stderr="")
    )
    facts = machine()
    assert (facts["GPU"], facts["driver"]) == ("Imaginary GPU", "580.95.05")
    assert facts["torch"] == version("torch") != ""
    assert version("no-such-package-here") == ""
    said[0] = ""
    assert driver() == "unknown"

    def fail(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", fail)
    assert driver() == "unknown"
