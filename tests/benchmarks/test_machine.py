"""The machine's description, and how much of it others use, on made-up numbers."""

import pytest

from benchmarks import machine


def test_description():
    found = machine.device()
    assert found["cores"] >= 1
    assert machine.host_kind(found) == machine.host_kind(dict(found))
    assert set(found) == {"cpu", "cores", "extensions", "memory_gb", "gpu", "system", "python"}
    assert machine.versions()["numpy"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"cpu": "Intel(R) Xeon(R)", "cores": 8, "gpu": None}, "8-cores-intel-r-xeon-r"),
        ({"cpu": "AMD", "cores": 2, "gpu": "NVIDIA H200"}, "2-cores-amd-nvidia-h200"),
    ],
)
def test_kind(found, expected):
    assert machine.host_kind(found) == expected


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A made-up /proc, clock and own time: 10 s pass, of which all cores are busy some and we used 4 s."""

    def set_up(busy_ticks, own_s=4.0, cores=2):
        ticks = 100
        wall, own = iter([100.0, 110.0]), iter([50.0, 50.0 + own_s])
        rows = iter([(100, 0, 5), (100 + busy_ticks, 900, 500)])  # busy, idle, waiting for a disk

        def now():
            (tmp_path / "stat").write_text("cpu  {} 1 2 {} {} 0 3 4 0 0\ncpu0 1".format(*next(rows)))

        monkeypatch.setattr(machine, "PROC", tmp_path)
        monkeypatch.setattr(machine.os, "cpu_count", lambda: cores)
        monkeypatch.setattr(machine.os, "sysconf", lambda _: ticks)
        monkeypatch.setattr(machine.time, "monotonic", lambda: next(wall))
        monkeypatch.setattr(machine.os, "times", lambda: (next(own), 0.0, 0.0, 0.0, 0.0))
        return now

    return set_up


@pytest.mark.parametrize(("busy_ticks", "share"), [(400, 0.0), (300, 0.0), (800, 0.2), (2000, 0.8)])
def test_what_others_use(proc, busy_ticks, share):
    now = proc(busy_ticks)
    now()
    others = machine.Others()
    now()
    assert others.stop() == pytest.approx(share)
    assert others.share == pytest.approx(share)


def test_where_the_system_does_not_say(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PROC", tmp_path)
    assert machine.Others().stop() is None
    assert machine.busy_share(0.0) is None
    assert machine.device()["extensions"] == []
