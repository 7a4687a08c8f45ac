"""Weights are found where they should be, fetched whole or not at all; against a server of our own."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile

import pytest

from helpers import download
from helpers.download import BUNDLED, OFFICIAL, DownloadError, bundled_weights, find_checkpoint


# requests leaves the socket of a failed answer to the garbage collector, which says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket", "ignore:unclosed.*socket:ResourceWarning")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A whole file, as bytes."""
    path = tmp_path_factory.mktemp("weights") / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", os.urandom(200_000))
    return path.read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the first part of the path: whole, page, drop, absent, busy."""

    weights = b""
    requests: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.requests.append(self.path)
        kind = self.path.split("/")[1]
        body = b"<html>sign in, please</html>" * 9 if kind == "page" else self.weights
        self.send_response({"absent": 404, "busy": 503}.get(kind, 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "drop" else body)
        if kind == "drop":
            self.connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(weights):
    Handler.weights, Handler.requests = weights, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("YOLOV7_WEIGHTS", "YOLOV7_MIRROR", "YOLOV7_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("YOLOV7_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(monkeypatch, server):
    return lambda kind: monkeypatch.setenv("YOLOV7_MIRROR", f"{server}/{kind}")


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
    assert list(OFFICIAL) == ["yolov7-tiny", "yolov7", "yolov7x", "yolov7-w6", "yolov7-e6", "yolov7-d6", "yolov7-e6e"]
    assert OFFICIAL["yolov7-tiny"] == "0fa1423606133c06362ec716029dade1169d5631e83195b75d8efa66d2ee0b77"


def test_a_folder_of_weights_comes_first(monkeypatch, mirror, tmp_path, weights):
    mirror("whole")
    monkeypatch.setenv("YOLOV7_WEIGHTS", str(tmp_path))
    (tmp_path / "yolov7.pt").write_bytes(b"mine")
    assert find_checkpoint("yolov7") == tmp_path / "yolov7.pt"
    assert Handler.requests == []
    assert find_checkpoint("yolov7x").read_bytes() == weights


def test_a_whole_file_is_fetched_once(mirror, cache, weights, capfd):
    mirror("whole")
    assert find_checkpoint("yolov7-w6") == cache / "yolov7-w6.pt"
    assert (cache / "yolov7-w6.pt").read_bytes() == weights
    assert find_checkpoint("yolov7-w6") == cache / "yolov7-w6.pt"
    assert Handler.requests == ["/whole/yolov7-w6.pt"]
    assert [p.name for p in cache.iterdir()] == ["yolov7-w6.pt"]
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_pinned_hash(mirror, cache, weights, monkeypatch):
    mirror("whole")
    refused("yolov7-tiny", "could not be fetched .*Fix: download it elsewhere and set YOLOV7_WEIGHTS")
    assert list(cache.iterdir()) == []
    monkeypatch.setitem(OFFICIAL, "yolov7-tiny", hashlib.sha256(weights).hexdigest())
    assert find_checkpoint("yolov7-tiny").read_bytes() == weights


def test_a_damaged_file_in_the_cache_is_fetched_again(mirror, cache, weights, monkeypatch):
    mirror("whole")
    monkeypatch.setitem(OFFICIAL, "yolov7-tiny", hashlib.sha256(weights).hexdigest())
    cache.mkdir()
    for name in ("yolov7-tiny", "yolov7"):
        (cache / f"{name}.pt").write_bytes(b"<html>")
        assert find_checkpoint(name).read_bytes() == weights


@pytest.mark.parametrize(
    ("kind", "match"),
    [("absent", "could not be fetched .HTTPError: 404"), ("busy", "503"), ("drop", "could not be fetched"),
     ("page", "expected a checkpoint, got something else .an error page.")],
)  # fmt: skip
def test_failures_leave_nothing_behind(mirror, cache, kind, match):
    mirror(kind)
    refused("yolov7", match)
    assert list(cache.iterdir()) == []


def test_no_server(monkeypatch, cache):
    monkeypatch.setenv("YOLOV7_MIRROR", "http://127.0.0.1:9")
    refused("yolov7", "could not be fetched .*ConnectionError")


def test_offline(monkeypatch, mirror, cache, weights):
    mirror("whole")
    monkeypatch.setenv("YOLOV7_OFFLINE", "1")
    refused("yolov7", "yolov7.pt is not in .* and YOLOV7_OFFLINE is set")
    assert Handler.requests == []
    cache.mkdir()
    (cache / "yolov7.pt").write_bytes(weights)
    assert find_checkpoint("yolov7") == cache / "yolov7.pt"


def test_the_bar_needs_a_terminal(monkeypatch, mirror):
    seen = []
    mirror("whole")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    import pooch

    real = pooch.HTTPDownloader
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda progressbar, timeout: seen.append(progressbar) or real(timeout=timeout))
    find_checkpoint("yolov7")
    find_checkpoint("yolov7x", progress=False)
    assert seen == [True, False]


def test_importing_loads_no_http_client():
    code = "import sys, helpers.download; sys.exit('requests' in sys.modules or 'pooch' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
