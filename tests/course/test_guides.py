"""The guides' example: never while outputs are checked, and with a reason wherever it cannot run."""

import numpy as np
import pytest

from helpers.course import guides
from helpers.course.pictures import NamedPicture

BUS = NamedPicture("bus", np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def unchecked(monkeypatch, tmp_path):
    """A reader's machine, without a network, with a cache of its own."""
    monkeypatch.setattr(guides, "is_checked", lambda: False)
    monkeypatch.setattr(guides, "bus", lambda: BUS)
    monkeypatch.setenv("YOLOV7_OFFLINE", "1")
    monkeypatch.setenv("YOLOV7_CACHE", str(tmp_path))
    monkeypatch.delenv("YOLOV7_WEIGHTS", raising=False)


def test_never_while_checked(capsys):
    assert guides.guide_example() is None
    assert capsys.readouterr().out.startswith("not run: yolov7-tiny is a download")


@pytest.mark.usefixtures("unchecked")
def test_not_without_ultralytics(monkeypatch, capsys):
    monkeypatch.setattr(guides, "bus", lambda: None)
    assert guides.guide_example() is None
    assert capsys.readouterr().out.startswith("not run: Ultralytics")


@pytest.mark.usefixtures("unchecked")
def test_not_without_weights(capsys):
    assert guides.guide_example() is None
    said = capsys.readouterr().out
    assert said.startswith("not run: yolov7-tiny.pt is not in")
    assert len(said.splitlines()) == 1


@pytest.mark.usefixtures("unchecked")
def test_with_both_it_runs(monkeypatch, tmp_path, capsys):
    (tmp_path / "yolov7-tiny.pt").write_bytes(b"weights")
    monkeypatch.setenv("YOLOV7_WEIGHTS", str(tmp_path))
    model, picture = guides.guide_example()
    assert (model.name, picture) == ("yolov7-tiny", BUS)
    assert capsys.readouterr().out == ""
