"""Ray is started quietly, found running, and always put away."""

import logging
import os
import warnings
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="extra scale")

from helpers import scale_cluster
from helpers.scale_cluster import cluster
from helpers.scale_parts import ScaleError


class Ray:
    """A stand-in: what is asked of it is written down."""

    def __init__(self, error=None, running=False):
        self.error, self.running, self.asked, self.downs = error, running, {}, 0

    def is_initialized(self):
        return self.running

    def init(self, **options):
        self.asked = options | {"telemetry": os.environ["RAY_USAGE_STATS_ENABLED"]}
        os.write(2, b"greeting\n")
        warnings.warn("ray is old", FutureWarning, stacklevel=1)
        if self.error:
            raise self.error

    def shutdown(self):
        self.downs += 1


@pytest.fixture
def stand_in(monkeypatch):
    from ray import data

    def use(ray):
        monkeypatch.setattr(scale_cluster, "package", lambda name: ray if name == "ray" else data)
        return ray

    return use


def test_alone_it_is_small_local_and_silent(stand_in, capfd, monkeypatch):
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    ray = stand_in(Ray())
    with cluster(workers=3, threads=2) as given:
        assert given is ray
        folder = ray.asked.pop("_temp_dir")
        assert logging.getLogger("ray.data").level == logging.ERROR
        from ray.data import DataContext

        assert DataContext.get_current().enable_progress_bars is False
    assert ray.asked == {
        "address": "local", "include_dashboard": False, "object_store_memory": 200_000_000, "num_cpus": 6,
        "_node_ip_address": "127.0.0.1", "log_to_driver": False, "logging_level": logging.ERROR,
        "telemetry": "0",
    }  # fmt: skip
    assert ray.downs == 1
    assert not folder or not Path(folder).exists()
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert DataContext.get_current().enable_progress_bars is True
    assert capfd.readouterr() == ("", "")


def test_the_address_is_all_a_cluster_needs(stand_in):
    ray = stand_in(Ray())
    with cluster("ray://head:10001", workers=3):
        assert logging.getLogger("ray.data").level == logging.WARNING
    assert ray.asked == {
        "address": "ray://head:10001", "log_to_driver": False, "logging_level": logging.ERROR,
        "telemetry": "0",
    }  # fmt: skip
    assert ray.downs == 1


class OwnError(Exception):
    """Stands for one of Ray's."""


OwnError.__module__ = "ray.exceptions"


@pytest.mark.parametrize(
    "error",
    [ConnectionError("refused\nby all"), TimeoutError("refused"), OwnError("refused"), Exception("refused")],
)
@pytest.mark.parametrize(("address", "where"), [("head:1", "head:1"), (None, "this machine")])
def test_ray_does_not_answer(stand_in, error, address, where):
    ray = stand_in(Ray(error))
    said = f"expected Ray to start or to answer on {where}, got 'refused'; check"
    with pytest.raises(ScaleError, match=said), cluster(address):
        pytest.fail("started")
    assert ray.downs == 1


@pytest.mark.parametrize("error", [ValueError("num_cpus"), KeyboardInterrupt()])
def test_other_errors_are_not_ours_to_explain(stand_in, error):
    ray = stand_in(Ray(error))
    with pytest.raises(type(error)), cluster():
        pytest.fail("started")
    assert ray.downs == 1


def test_it_is_put_away_after_an_error(stand_in):
    ray = stand_in(Ray())
    with pytest.raises(KeyError), cluster():
        raise KeyError("x")
    assert ray.downs == 1


def test_one_that_runs_already_stays(stand_in):
    ray = stand_in(Ray(running=True))
    with cluster():
        pass
    assert (ray.asked, ray.downs) == ({}, 0)


@pytest.mark.parametrize(("threads", "cores", "cpus"), [(1, 4, 4), (4, 4, 4), (3, 4, 3), (8, 4, 8)])
def test_cores_without_a_number_of_workers(stand_in, monkeypatch, threads, cores, cpus):
    monkeypatch.setattr(scale_cluster.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    ray = stand_in(Ray())
    with cluster(threads=threads):
        pass
    assert ray.asked["num_cpus"] == cpus


def test_where_there_is_no_tmp(stand_in, monkeypatch):
    monkeypatch.setattr(scale_cluster, "SHORT", Path("/nowhere"))
    ray = stand_in(Ray())
    with cluster(workers=1):
        pass
    assert ray.asked["_temp_dir"] is None


def test_folders_of_killed_processes_are_taken_away(stand_in, tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(scale_cluster, "SHORT", tmp_path)
    for name in ("ray-killed", "ray-alive", "ray-of-others", "else"):
        (tmp_path / name / "session").mkdir(parents=True)
    (tmp_path / "ray-killed" / "_owner").touch()
    (tmp_path / "else" / "_owner").touch()
    ray = stand_in(Ray())
    with FileLock(tmp_path / "ray-alive" / "_owner"), cluster(workers=1):
        own = Path(ray.asked["_temp_dir"]).name
        there = {path.name for path in tmp_path.iterdir()}
    assert there == {"ray-alive", "ray-of-others", "else", own}
    assert {path.name for path in tmp_path.iterdir()} == {"ray-alive", "ray-of-others", "else"}


def test_settings_of_the_reader_win(stand_in, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    ray = stand_in(Ray())
    with cluster(workers=1):
        pass
    assert ray.asked["telemetry"] == "1"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
