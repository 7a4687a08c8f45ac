"""A small HTTP server for tests, which answers by the first part of the path and misbehaves as told."""

from __future__ import annotations

import http.server
import os
import re
import threading
import time
import zipfile
from contextlib import contextmanager

PAGE = b"<html>sign in, please</html>" * 9


def whole_file(folder):
    """A zip archive, as bytes: what a checkpoint is from the outside."""
    path = folder / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", os.urandom(600_000))
    return path.read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Kinds: redirect, loop, and each method `answer_...`."""

    body = b""
    tag = '"one"'
    seen: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self):
        kind = self.path.split("/")[1]
        self.seen.append((self.path, self.headers["Range"]))
        if kind in ("redirect", "loop"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("redirect", "whole"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        getattr(self, f"answer_{kind}", self.answer_whole)()

    def send(self, body, code=200, *, length=None, **headers):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.wfile.flush()
            self.close_connection = True

    def answer_whole(self):
        self.send(self.body)

    def answer_page(self):
        self.send(PAGE, Content_Type="text/html; charset=utf-8")

    def answer_junk(self):
        self.send(PAGE, Content_Type="application/octet-stream")

    def answer_absent(self):
        self.send(b"no", 404)

    def answer_busy(self):
        self.send(b"no", 503)

    def answer_drop(self):
        """Half of it each time, and no way to go on."""
        self.send(self.body[: len(self.body) // 2], length=len(self.body), ETag=self.tag)

    def answer_weak(self):
        self.send(self.body[: len(self.body) // 2], length=len(self.body), ETag="W/" + self.tag)

    def answer_resume(self, limit=3 << 16):
        """Goes on from any byte of the same version, and breaks off after a while."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(found[1]) if found and self.headers["If-Range"] == self.tag else 0
        rest = self.body[start:]
        length = len(rest) if len(rest) > limit else None
        content_range = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        headers = {"ETag": self.tag, **({"Content_Range": content_range} if start else {})}
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(rest[:limit])
        self.wfile.flush()
        self.close_connection = length is not None

    def answer_liar(self):
        """Says it goes on, from another byte than the one asked for."""
        if self.headers["Range"]:
            self.send(self.body, 206, Content_Range=f"bytes 0-{len(self.body) - 1}/{len(self.body)}")
        else:
            self.answer_drop()

    def answer_gone(self):
        """Cannot go on, and sends the whole to who starts anew."""
        if self.headers["Range"]:
            self.send(b"", 416)
        elif len(self.seen) == 1:
            self.answer_drop()
        else:
            self.send(self.body)

    def answer_slow(self):
        self.answer_stuck(wait=0.02)

    def answer_stuck(self, wait=1.0):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        step = len(self.body) // 8
        try:
            for start in range(0, len(self.body), step):
                time.sleep(wait)
                self.wfile.write(self.body[start : start + step])
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def serving(body, tag='"one"'):
    """The address of a running server; `Handler.seen` holds what it was asked."""
    Handler.body, Handler.tag, Handler.seen = body, tag, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
