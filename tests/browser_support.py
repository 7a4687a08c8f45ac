"""What the browser tests share: a copy of the course, a JupyterLab server on it, and a page that is a reader.

The reader is somebody on a new machine: an empty home folder, an empty build folder, no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
SCRIPT = REPOSITORY / "tests" / "browser" / "page.js"
EDITIONS = {"en": "notebooks", "zh-CN": "notebooks/zh-CN"}

# What would make a lesson behave as under a check, or differ by who runs the tests.
NOT_A_READERS = ("CI", "MPLBACKEND", "OMP_NUM_THREADS", "PYTHONPATH", "PYTHONWARNINGS", "DISPLAY")
NOT_A_READERS_PREFIXES = ("YOLOV7_", "YOLO_", "PYTEST_", "JUPYTER", "IPYTHON", "COV_", "XDG_", "FONTCONFIG_")


def copied_course(folder: Path) -> Path:
    """The working tree, without what git ignores, in a new folder: lessons run there change nothing here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.is_file() and not name.startswith(("tests/", "benchmarks/")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return folder


def readers_environment(course: Path, home: Path) -> dict[str, str]:
    """The environment of somebody who runs the lessons for the first time, without a network."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_A_READERS and not name.startswith(NOT_A_READERS_PREFIXES)
    }
    return kept | {
        "HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(course),
        "YOLOV7_OFFLINE": "1", "YOLO_OFFLINE": "True", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, the key to it, and the course that it serves."""

    address: str
    token: str
    course: Path

    def url(self, notebook: str) -> str:
        """The address that opens a notebook in a workspace of its own."""
        workspace = re.sub(r"\W+", "-", notebook)
        return f"{self.address}/lab/workspaces/{workspace}/tree/{notebook}?reset&token={self.token}"

    def ask(self, path: str, method: str = "GET") -> Any:
        """What the server's interface answers."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.address}/api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def end_kernels(self) -> None:
        """One lesson after another: a kernel that nobody watches any more only takes memory."""
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")


def _answer_questions(home: Path) -> None:
    """JupyterLab asks a new user whether it may fetch news; it would lie over the lesson."""
    folder = home / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True)
    (folder / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}', "utf-8")


@contextlib.contextmanager
def running_lab(course: Path, home: Path) -> Iterator[Lab]:
    """A JupyterLab server of this environment on a free port; it ends with the block.

    Raises:
        RuntimeError: It does not answer, with the end of what it wrote.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, log = secrets.token_hex(16), home / "jupyterlab.log"
    _answer_questions(home)
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0,
        "ServerApp.root_dir": course, "IdentityProvider.token": token, "ServerApp.allow_root": True,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.expose_app_in_browser": True, "LabApp.extension_manager": "readonly",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{name}={value}" for name, value in options.items()]
    lab = Lab(f"http://127.0.0.1:{port}", token, course)
    with (
        log.open("w") as written,
        subprocess.Popen(
            command, cwd=course, env=readers_environment(course, home), stdout=written, stderr=written
        ) as server,
    ):
        try:
            _wait_for(lab, server, log)
            yield lab
        finally:
            with contextlib.suppress(OSError):
                lab.end_kernels()
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_for(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            lab.ask("status")
            return
        time.sleep(0.3)
    raise RuntimeError(f"JupyterLab does not answer at {lab.address}:\n{log.read_text()[-2000:]}")
