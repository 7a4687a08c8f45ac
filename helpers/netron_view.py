"""Look at a graph in Netron inside the notebook, or as a drawing where Netron cannot be reached.

Netron is a small web server on this machine, shown in a frame. That works in JupyterLab on your own computer.
In Colab, on a JupyterHub, in VS Code over a remote connection, and without a screen, `localhost` is another
machine for the browser: there the drawing of `helpers.graph` stands in.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["view", "why_not_netron"]

REMOTE = {
    "COLAB_RELEASE_TAG": "Colab runs on another machine",
    "KAGGLE_KERNEL_RUN_TYPE": "Kaggle runs on another machine",
    "JUPYTERHUB_USER": "a JupyterHub runs on another machine",
    "JUPYTERHUB_API_URL": "a JupyterHub runs on another machine",
    "CODESPACES": "a codespace runs on another machine",
    "SSH_CONNECTION": "this session came over SSH",
    "VSCODE_IPC_HOOK_CLI": "VS Code is connected from another machine",
}


def why_not_netron(environment: Mapping[str, str] | None = None) -> str:
    """Why Netron cannot be shown from here; empty where it can.

    >>> why_not_netron({"CI": "true"}), why_not_netron({"CODESPACES": "true"})
    ('run without a screen', 'a codespace runs on another machine')
    """
    environment = os.environ if environment is None else environment
    if any(environment.get(name, "") not in ("", "0") for name in ("YOLOV7_HEADLESS", "CI")):
        return "run without a screen"
    reasons = (reason for name, reason in REMOTE.items() if environment.get(name))
    if reason := next(reasons, ""):
        return reason
    if "google.colab" in sys.modules:
        return REMOTE["COLAB_RELEASE_TAG"]
    return "" if find_spec("netron") else "Netron is not installed; pip install netron"


def view(path: str | Path, *, height: int = 600, focus: str = "", hops: int = 3) -> None:
    """Show an ONNX file in Netron, in a frame of `height` pixels; else say why not, and draw a part of it.

    Args:
        path: the `.onnx` file.
        height: of the frame, pixels.
        focus: the node that the drawing is about, by its name or a value it makes; the output, if not given.
        hops: how far the drawing reaches from there.

    Raises:
        FileNotFoundError: there is no such file.
    """
    from IPython.display import IFrame, display

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: expected an ONNX file, got {path}, which does not exist")
    if reason := why_not_netron():
        import onnx

        from helpers.graph import neighbourhood, to_svg

        model = onnx.load(path, load_external_data=False)
        drawing = to_svg(neighbourhood(model, focus or model.graph.output[0].name, hops))
        bundle = {"image/svg+xml": drawing, "text/plain": f"<graph of {path.name}; no Netron: {reason}>"}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        return
    import netron

    logging.getLogger("netron").setLevel(logging.WARNING)  # it announces itself, and for that
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # configures the root logger where that has no handler
    try:
        host, port = netron.start(str(path), browse=False)
    finally:
        root.removeHandler(handler)
    frame = IFrame(f"http://{host}:{port}", width="100%", height=height)
    display(frame)  # type: ignore[no-untyped-call]
