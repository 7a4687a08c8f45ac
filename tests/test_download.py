"""Weights are found where they should be, and the cache is held to what it was."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from misbehaving import Handler, serving, whole_file

from helpers import download, fetch
from helpers.download import BUNDLED, OFFICIAL, DownloadError, Pin, bundled_weights, find_checkpoint

SETTINGS = ("YOLOV7_WEIGHTS", "YOLOV7_MIRROR", "YOLOV7_OFFLINE")
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return whole_file(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in (*SETTINGS, *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetch, "PAUSE_S", 0.0)
    monkeypatch.setenv("YOLOV7_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(monkeypatch, weights):
    with serving(weights) as address:
        yield lambda kind: monkeypatch.setenv("YOLOV7_MIRROR", f"{address}/{kind}/")


def files(cache):
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def refused(name, match):
    with pytest.raises(DownloadError, match=match) as caught:
        find_checkpoint(name)
    assert "\n" not in str(caught.value)


def test_a_path_is_itself(tmp_path):
    (tmp_path / "best.pt").write_text("x")
    assert find_checkpoint(tmp_path / "best.pt") == tmp_path / "best.pt"
    assert find_checkpoint(str(tmp_path / "best.pt")) == tmp_path / "best.pt"


@pytest.mark.parametrize("name", ["", "yolov8n", "runs/best.pt", ".", "YOLOV7"])
def test_unknown_names(name):
    refused(name, f"model: expected a file, {BUNDLED}, or one of yolov7-tiny, .*; got ")


def test_the_bundled_model(monkeypatch, tmp_path):
    file = tmp_path / "blood-cells.safetensors"
    monkeypatch.setattr(download, "bundled_weights", lambda: file)
    refused(BUNDLED, "missing. Fix: work in a clone")
    file.write_text("x")
    assert find_checkpoint(BUNDLED) == file


def test_where_the_bundled_weights_are(repository):
    assert bundled_weights() == repository / "data" / "blood-cells.safetensors"


def test_official_names():
    from helpers.family import VARIANTS

    assert list(OFFICIAL) == list(VARIANTS)
    sha256 = "0fa1423606133c06362ec716029dade1169d5631e83195b75d8efa66d2ee0b77"
    assert OFFICIAL["yolov7-tiny"] == Pin(12_639_769, sha256)
    assert {OFFICIAL[name] for name in OFFICIAL if name != "yolov7-tiny"} == {Pin()}  # none is invented


def test_a_folder_of_weights_comes_first(monkeypatch, mirror, tmp_path, weights):
    mirror("whole")
    monkeypatch.setenv("YOLOV7_WEIGHTS", str(tmp_path))
    (tmp_path / "yolov7.pt").write_bytes(b"mine")
    assert find_checkpoint("yolov7") == tmp_path / "yolov7.pt"
    assert Handler.seen == []
    assert find_checkpoint("yolov7x").read_bytes() == weights


@pytest.mark.parametrize("kind", ["whole", "resume", "redirect"])
def test_a_whole_file_is_fetched_once_and_recorded(mirror, cache, weights, capfd, kind):
    mirror(kind)
    assert find_checkpoint("yolov7-w6") == cache / "yolov7-w6.pt"
    assert (cache / "yolov7-w6.pt").read_bytes() == weights
    asked = len(Handler.seen)
    assert find_checkpoint("yolov7-w6") == cache / "yolov7-w6.pt"
    assert len(Handler.seen) == asked
    assert Handler.seen[0] == (f"/{kind}/yolov7-w6.pt", None)
    assert files(cache) == ["records.json", "yolov7-w6.pt"]
    entry = {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    assert json.loads((cache / "records.json").read_text()) == {"yolov7-w6.pt": entry}
    assert tuple(capfd.readouterr()) == ("", "")


def test_what_was_recorded_is_held_to(mirror, cache, weights, monkeypatch):
    mirror("whole")
    find_checkpoint("yolov7")
    (cache / "yolov7.pt").write_bytes(weights[:-1] + b"x")
    assert find_checkpoint("yolov7").read_bytes() == weights
    (cache / "yolov7.pt").unlink()
    other = weights[:100] + b"?" + weights[101:]
    monkeypatch.setattr(Handler, "body", other)
    refused("yolov7", r"expected SHA-256 .*if the release has changed, delete its entry in .*records\.json")
    (cache / "records.json").unlink()
    assert find_checkpoint("yolov7").read_bytes() == other


def test_a_pinned_hash(mirror, cache, weights, monkeypatch):
    mirror("whole")
    refused("yolov7-tiny", f"expected 12639769 bytes, got {len(weights)}. Fix: download it elsewhere")
    assert files(cache) == []
    monkeypatch.setitem(OFFICIAL, "yolov7-tiny", Pin(len(weights), "0" * 64))
    refused("yolov7-tiny", "expected SHA-256 0000")
    monkeypatch.setitem(OFFICIAL, "yolov7-tiny", Pin(len(weights), hashlib.sha256(weights).hexdigest()))
    assert find_checkpoint("yolov7-tiny").read_bytes() == weights
    assert files(cache) == ["yolov7-tiny.pt"]
    (cache / "yolov7-tiny.pt").write_bytes(b"<html>")
    assert find_checkpoint("yolov7-tiny").read_bytes() == weights


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("absent", "404"),
        ("busy", "503"),
        ("page", "got a page"),
        ("junk", "a whole checkpoint, got 252 bytes"),
    ],
)
def test_failures_leave_nothing_behind(mirror, cache, kind, match):
    mirror(kind)
    refused("yolov7", match)
    assert files(cache) == []


@pytest.mark.parametrize(
    ("text", "match"), [("{", "cannot be read"), ('{"yolov7.pt": 3}', "entry yolov7.pt")]
)
def test_damaged_records(mirror, cache, text, match):
    mirror("whole")
    cache.mkdir()
    (cache / "records.json").write_text(text)
    refused("yolov7", f"{match}.* Fix: delete")


def test_offline(monkeypatch, mirror, cache, weights):
    mirror("whole")
    monkeypatch.setenv("YOLOV7_OFFLINE", "1")
    refused("yolov7", "yolov7.pt is not in .* and YOLOV7_OFFLINE is set")
    assert Handler.seen == []
    (cache / "yolov7.pt").write_bytes(weights)
    assert find_checkpoint("yolov7") == cache / "yolov7.pt"
    assert "yolov7.pt" in (cache / "records.json").read_text()


def test_two_at_once_fetch_once(mirror, cache, weights):
    from concurrent.futures import ThreadPoolExecutor

    mirror("slow")
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(find_checkpoint, ["yolov7", "yolov7"]))
    assert [path.read_bytes() for path in paths] == [weights, weights]
    assert len(Handler.seen) == 1


def test_importing_loads_no_http_client():
    code = (
        "import sys, helpers.download; sys.exit(bool({'requests', 'torch', 'filelock'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
