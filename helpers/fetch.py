"""Fetch one file over HTTP so that it arrives whole: resumed where it broke off, checked, then put in place.

The part that has arrived lies beside the target as `NAME.part`, with the server's mark of the version (ETag)
in `NAME.part.tag`. A later call asks for the rest of that version alone (`Range` and `If-Range`, RFC 9110);
a server that has another version by now, or cannot resume, sends everything.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (10.0, 30.0)  # to connect, and between two blocks
ATTEMPTS = 3  # in a row that brought nothing
PAUSE_S = 0.5  # after the first of them, then twice as long
_BLOCK = 1 << 16  # a block that breaks off is lost
_HELP = "download it elsewhere and set YOLOV7_WEIGHTS to its folder, or use the bundled model blood-cells"


class DownloadError(RuntimeError):
    """Weights are not at hand and could not be fetched; the message says what to do."""


@dataclass(frozen=True)
class Pin:
    """What is known of a file beforehand.

    Attributes:
        size: In bytes.
        sha256: As hexadecimal digits.
    """

    size: int | None = None
    sha256: str | None = None

    def matches(self, path: Path) -> bool:
        """Whether a file is the one; without a hash, whether it is a whole zip archive of that size."""
        if self.size is not None and path.stat().st_size != self.size:
            return False
        return digest(path) == self.sha256 if self.sha256 else zipfile.is_zipfile(path)


def digest(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, path: Path, pin: Pin, *, progress: bool = True) -> None:
    """Download a checkpoint, or the rest of it.

    Args:
        url: Where from.
        path: Where to; written last, at once. One caller at a time.
        pin: What to hold the file to.
        progress: Show a bar, where somebody may be looking.

    Raises:
        DownloadError: It could not be fetched (what has arrived is kept for the next call), or it is not the
            right file (nothing is kept).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.tag"))
    _receive(url, part, pin, progress)
    if not pin.matches(part.path):
        found = f"{part.size} bytes, SHA-256 {digest(part.path)}"
        part.discard()
        wanted = f"SHA-256 {pin.sha256}" if pin.sha256 else "a whole checkpoint"
        raise DownloadError(f"{url}: expected {wanted}, got {found}. Fix: try again; else {_HELP}")
    part.path.replace(path)
    part.discard()


@dataclass(frozen=True)
class _Part:
    """The unfinished file and the mark of its version."""

    path: Path
    tag_path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def tag(self) -> str:
        return self.tag_path.read_text(encoding="latin-1").strip() if self.tag_path.is_file() else ""

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.tag_path.unlink(missing_ok=True)


def _receive(url: str, part: _Part, pin: Pin, progress: bool) -> None:
    """Ask until everything is here; give up after some attempts in a row that brought nothing."""
    import requests

    failures, most, bar = 0, part.size, _bar(progress, part.path.stem)
    try:
        while True:
            try:
                return _ask(url, part, pin, bar)
            except (requests.RequestException, OSError) as error:
                failures, most = (0 if part.size > most else failures + 1), max(most, part.size)
                if failures >= ATTEMPTS or not _passes(error):
                    raise DownloadError(_explain(url, error, part)) from None  # three tracebacks long
            time.sleep(PAUSE_S * 2 ** max(failures - 1, 0))
    finally:
        bar.close()


def _ask(url: str, part: _Part, pin: Pin, bar: Any) -> None:
    """One request for what is missing."""
    import requests

    headers = {"Accept-Encoding": "identity"}
    if part.size and part.tag:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.tag}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        start = _start(answer, part)
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        if total is not None and pin.size not in (None, total):
            part.discard()
            raise DownloadError(f"{url}: expected {pin.size} bytes, got {total}. Fix: {_HELP}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise DownloadError(
                f"{url}: expected a checkpoint, got a page (to sign in? of a proxy?). Fix: open it in a "
                f"browser; or {_HELP}"
            )
        mark = answer.headers.get("ETag", "")  # a weak one does not promise the same bytes
        part.tag_path.write_text("" if mark.startswith("W/") else mark, encoding="latin-1")
        bar.reset(total)
        bar.update(start)
        with part.path.open("ab" if start else "wb") as file:
            for block in answer.iter_content(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.size != total:
        raise requests.ConnectionError(f"{part.size} of {total} bytes arrived")


def _start(answer: requests.Response, part: _Part) -> int:
    """The byte at which the answer begins; what has arrived is useless where the server cannot go on."""
    import requests

    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if answer.status_code == 206 and found and int(found[1]) == part.size:
        return part.size
    if answer.status_code in (206, 416):
        part.discard()
        raise requests.ConnectionError("the server could not go on where the download broke off")
    answer.raise_for_status()
    return 0


def _passes(error: Exception) -> bool:
    """Whether the same request may well succeed later."""
    import requests

    if isinstance(error, requests.HTTPError):
        return error.response is not None and (error.response.status_code in (408, 429, 500, 502, 503, 504))
    lasting = (requests.exceptions.ProxyError, requests.exceptions.SSLError)
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, passing) and not isinstance(error, lasting)


def _explain(url: str, error: Exception, part: _Part) -> str:
    """The message: what happened, in words, and what can be done."""
    from requests import exceptions

    reasons = (
        (exceptions.ProxyError, "the proxy refused or did not answer", "check HTTPS_PROXY and NO_PROXY"),
        (exceptions.SSLError, "its certificate is not trusted; does a proxy read along?",
         "set REQUESTS_CA_BUNDLE to your organisation's certificates"),
        (exceptions.Timeout, f"no answer within {TIMEOUT_S[1]:.0f} s", "try again"),
        (exceptions.HTTPError, str(error)[:60], "check YOLOV7_MIRROR where it is set"),
        (exceptions.TooManyRedirects, "it redirects for ever", "check YOLOV7_MIRROR where it is set"),
        ((exceptions.ConnectionError, exceptions.ChunkedEncodingError), "the connection failed or broke off",
         "check the network, or set YOLOV7_MIRROR to an address that can be reached"),
    )  # fmt: skip
    fallback = (f"{type(error).__name__}: {str(error)[:120]}", "check the address and the folder")
    reason, fix = next(
        ((reason, fix) for kinds, reason, fix in reasons if isinstance(error, kinds)), fallback
    )
    kept = f"; {part.size} bytes are kept, the same call goes on from there" if part.size else ""
    return f"{url} could not be fetched: {reason}{kept}. Fix: {fix}; or {_HELP}"


def _bar(progress: bool, name: str) -> Any:
    """A bar where there is a terminal or a notebook, once something has come; else nothing that is seen."""
    from tqdm import tqdm

    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    shown = progress and (sys.stderr.isatty() or getattr(shell, "kernel", None) is not None)
    return tqdm(desc=name, unit="B", unit_scale=True, leave=False, delay=0.5, disable=not shown)
