"""`make test-gpu` without a GPU: it says why; and its tests work, as far as TensorRT's double goes."""

import argparse
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import trt_double

from helpers.course import cli


def run(repository, *options, **environment):
    """Pytest on tests/gpu, in a process of its own, without a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu", *options]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_nothing_is_chosen_unless_asked_for(repository):
    code, said = run(repository, "--collect-only")
    assert code == 5
    assert re.search(r"no tests collected \(\d+ deselected\)", said)


def test_each_says_why_it_did_not_run(repository):
    code, said = run(repository, "-m", "gpu", YOLOV7_GPU_DOUBLE="")
    assert code == 0
    assert "not run: this test needs an NVIDIA GPU with its driver" in said
    assert re.search(r"^\d\d skipped in", said, re.MULTILINE), said[-500:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Graphs that the second run finds made."""
    return tmp_path_factory.mktemp("gpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "chosen"),
    [("11.4", "not every_variant"), ("10.16", "bundled or read_back or tail or origin")],
)
def test_they_pass_on_the_double(repository, folder, version, chosen):
    options = ["-m", "gpu", "-k", chosen]
    code, said = run(repository, *options, YOLOV7_GPU_DOUBLE=version, YOLOV7_GPU_FOLDER=str(folder))
    assert code == 0, said[-3000:]
    assert int(re.search(r"(\d+) passed", said)[1]) >= (20 if version == "11.4" else 8)
    assert "failed" not in said
    reasons = re.findall(r"SKIPPED .*?: (.*)", said)
    assert set(reasons) <= {f"needs a real GPU: this is the double of TensorRT {version}"}
    assert "conv" in (folder / "seen.txt").read_text().lower()
    if version == "11.4":
        assert "engine, FP16: " in (folder / "seen.txt").read_text()
        assert "TensorRT  FP16       no" in (folder / "latency.txt").read_text()


def test_without_a_gpu_one_line_and_no_success(monkeypatch, capsys):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing may run"))
    assert cli._test_gpu(argparse.Namespace()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("not run: make test-gpu needs an NVIDIA GPU")
    assert len(said.err.splitlines()) == 1


def test_with_a_gpu_the_tests_run_and_the_report_is_named(monkeypatch, capsys):
    trt_double.install(monkeypatch, "11.4")
    asked = []

    def run(command, **options):
        asked.append((command, options["env"]))
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("YOLOV7_HEADLESS", "1")
    assert cli._test_gpu(argparse.Namespace()) == 3
    ((command, environment),) = asked
    assert command[1:] == ["-m", "pytest", "-q", "-m", "gpu", "tests/gpu"]
    assert not {"CI", "YOLOV7_HEADLESS"} & environment.keys()
    assert environment["YOLO_AUTOINSTALL"] == "False"
    assert "build/gpu/latency.txt" in capsys.readouterr().out
