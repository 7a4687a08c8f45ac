"""A file arrives whole or not at all; against a server of our own that misbehaves."""

from __future__ import annotations

import hashlib
import sys

import pytest
from misbehaving import Handler, serving, whole_file

from helpers import fetch as module
from helpers.fetch import DownloadError, Pin, digest, fetch


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    return whole_file(tmp_path_factory.mktemp("body"))


@pytest.fixture
def server(body, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    with serving(body) as address:
        yield address


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "yolov7.pt"


def files(target):
    return sorted(path.name for path in target.parent.iterdir())


def refused(url, target, match, pin=Pin()):  # noqa: B008
    with pytest.raises(DownloadError, match=match) as caught:
        fetch(url, target, pin)
    assert "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize("kind", ["whole", "redirect", "slow"])
def test_in_one_piece(server, target, body, kind, capfd):
    fetch(f"{server}/{kind}/yolov7.pt", target, Pin(len(body), hashlib.sha256(body).hexdigest()))
    assert target.read_bytes() == body
    assert files(target) == ["yolov7.pt"]
    assert tuple(capfd.readouterr()) == ("", "")


def test_resumed_within_a_call(server, target, body):
    fetch(f"{server}/resume/yolov7.pt", target, Pin())
    assert target.read_bytes() == body
    assert [asked for _, asked in Handler.seen] == [None, "bytes=196608-", "bytes=393216-", "bytes=589824-"]
    assert files(target) == ["yolov7.pt"]


def test_resumed_by_a_later_call(server, target, body, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 0)  # as if the process had been stopped
    url = f"{server}/resume/yolov7.pt"
    refused(url, target, "broke off; 196608 bytes are kept, the same call goes on from there")
    assert files(target) == ["yolov7.pt.part", "yolov7.pt.part.tag"]
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    fetch(url, target, Pin())
    assert target.read_bytes() == body
    assert [asked for _, asked in Handler.seen][:2] == [None, "bytes=196608-"]


def test_another_version_by_now_is_fetched_anew(server, target, body, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 0)
    refused(f"{server}/resume/yolov7.pt", target, "are kept")
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    monkeypatch.setattr(Handler, "tag", '"two"')
    monkeypatch.setattr(Handler, "body", body[::-1] + body)  # whatever: still a zip by its end
    fetch(f"{server}/resume/yolov7.pt", target, Pin())
    assert target.read_bytes() == Handler.body


@pytest.mark.parametrize("kind", ["drop", "weak", "liar"])
def test_what_cannot_be_resumed_is_given_up(server, target, kind):
    refused(f"{server}/{kind}/yolov7.pt", target, "could not be fetched: the connection failed or broke off")
    asked = [asked for _, asked in Handler.seen]
    assert len(asked) >= module.ATTEMPTS + (kind != "liar")
    assert ("bytes" in str(asked)) == (kind != "weak")  # a weak mark does not promise the same bytes


def test_a_range_that_is_refused_starts_anew(server, target, body):
    fetch(f"{server}/gone/yolov7.pt", target, Pin())
    assert target.read_bytes() == body
    assert [asked for _, asked in Handler.seen] == [None, "bytes=262144-", None]  # whole blocks


@pytest.mark.parametrize(
    ("kind", "match", "attempts"),
    [
        ("absent", "could not be fetched: 404 .*Fix: check YOLOV7_MIRROR", 1),
        ("busy", "could not be fetched: 503 ", 3),
        ("page", "expected a checkpoint, got a page", 1),
        ("loop", "redirects for ever", 31),
    ],
)
def test_answers_that_are_no_file(server, target, kind, match, attempts):
    refused(f"{server}/{kind}/yolov7.pt", target, match)
    assert len(Handler.seen) == attempts
    assert files(target) == []


def test_wrong_content_leaves_nothing(server, target, body):
    refused(f"{server}/junk/yolov7.pt", target, "expected a whole checkpoint, got 252 bytes, SHA-256")
    assert files(target) == []
    match = f"expected SHA-256 00ff, got {len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()}"
    refused(f"{server}/whole/yolov7.pt", target, match, Pin(None, "00ff"))
    assert files(target) == []


def test_a_wrong_length_is_refused_before_it_is_fetched(server, target, body):
    refused(f"{server}/whole/yolov7.pt", target, f"expected 7 bytes, got {len(body)}", Pin(7))
    assert files(target) == []


def test_a_stall(server, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", (1.0, 0.05))
    refused(
        f"{server}/stuck/yolov7.pt", target, "could not be fetched: (no answer within 0 s|the connection)"
    )
    assert len(Handler.seen) == 3


def test_no_server(target, monkeypatch, server):
    refused(
        "http://127.0.0.1:9/yolov7.pt",
        target,
        "the connection failed.*Fix: check the network, or set YOLOV7_MIRROR",
    )


def test_a_dead_proxy(target, monkeypatch, server):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    refused("http://example.invalid/yolov7.pt", target, "the proxy refused .*Fix: check HTTPS_PROXY")


def test_no_address(target):
    refused("nonsense", target, "MissingSchema.*Fix: check the address")


def test_certificates_and_lasting_errors():
    import requests

    error = requests.exceptions.SSLError("self-signed")
    part = module._Part(module.Path("none"), module.Path("none.tag"))
    assert "REQUESTS_CA_BUNDLE" in module._explain("https://a/b", error, part)
    assert not module._passes(error)
    assert not module._passes(OSError("disk full"))


def test_pins(tmp_path, body):
    path = tmp_path / "a.pt"
    path.write_bytes(b"")
    assert not Pin().matches(path)
    path.write_bytes(body)
    assert digest(path) == hashlib.sha256(body).hexdigest()
    assert Pin().matches(path)
    assert Pin(len(body), digest(path)).matches(path)
    assert not Pin(len(body) + 1, digest(path)).matches(path)
    assert not Pin(None, "0" * 64).matches(path)


@pytest.mark.parametrize(
    ("terminal", "asked", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_the_bar_needs_somebody_to_look(monkeypatch, terminal, asked, shown):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    bar = module._bar(asked, "yolov7.pt")
    assert (not bar.disable) == shown
    bar.close()


def test_a_notebook_shows_the_bar(monkeypatch):
    from types import SimpleNamespace

    fake = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    bar = module._bar(True, "yolov7.pt")
    assert not bar.disable
    bar.close()
