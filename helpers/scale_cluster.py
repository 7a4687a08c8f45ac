"""Ray on this machine for as long as a job lasts, or a cluster at an address: quiet, offline, shut down."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from helpers.scale_parts import ScaleError, package

__all__ = ["OBJECT_STORE_BYTES", "cluster"]

OBJECT_STORE_BYTES = 200_000_000
SHORT = Path("/tmp")  # noqa: S108 - not there on Windows, which has no such limit
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextmanager
def cluster(
    address: str | None = None, *, workers: int | None = None, threads: int = 1,
    object_store_bytes: int = OBJECT_STORE_BYTES,
) -> Iterator[Any]:  # fmt: skip
    """Ray, quiet and without its dashboard, while the block runs; a Ray that runs already is used and stays.

    Raises:
        ImportError: Ray Data is not installed (extra `scale`).
        ScaleError: No cluster answers at the address.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet(logging.WARNING if address else logging.ERROR))
        ray = package("ray")
        stack.enter_context(_settings(package("ray.data").DataContext.get_current()))
        if not ray.is_initialized():
            options: dict[str, Any] = {"address": address}
            if address is None:
                cores = (
                    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
                )
                options = {
                    "address": "local", "include_dashboard": False, "object_store_memory": object_store_bytes,
                    "num_cpus": (workers or max(1, cores // threads)) * threads,
                    "_node_ip_address": "127.0.0.1",
                    "_temp_dir": stack.enter_context(_short_folder()),
                }  # fmt: skip
            stack.callback(ray.shutdown)
            with _Refusal(address or "this machine"), _no_greeting():
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        yield ray


@contextmanager
def _short_folder() -> Iterator[str | None]:
    """For Ray's logs and sockets, whose paths must be short; gone when Ray is.

    A process that is killed leaves its folder, but not its lock on it: the next one takes such folders away.
    """
    from filelock import FileLock

    if not SHORT.is_dir():
        yield None
        return
    for lock in SHORT.glob("ray-*/_owner"):
        with suppress(OSError), FileLock(lock, timeout=0):  # a Timeout is an OSError: somebody works there
            shutil.rmtree(lock.parent, ignore_errors=True)
    made = tempfile.TemporaryDirectory(prefix="ray-", dir=SHORT, ignore_cleanup_errors=True)
    with made as folder, FileLock(Path(folder, "_owner")):
        yield folder


class _Refusal:
    """Says what it means that Ray did not start; some of its reasons are bare `Exception`s."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        ray_own = kind is not None and kind.__module__.startswith("ray.")
        if kind is Exception or ray_own or isinstance(error, ConnectionError | TimeoutError):
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ScaleError(
                f"address: expected Ray to start or to answer on {self.where}, got {said!r}; "
                "check a cluster with: ray status; on a busy machine, wait and call again"
            ) from error


@contextmanager
def _no_greeting() -> Iterator[None]:
    """Ray's C++ half says on the way up which log level it was told; it writes past `sys.stderr`."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _quiet(level: int) -> Iterator[None]:
    """No telemetry, no warnings that Ray gives itself, its logs from `level` on."""
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ |= {name: os.environ.get(name) or value for name, value in QUIET.items()}
    logger = logging.getLogger("ray.data")
    try:
        with warnings.catch_warnings():
            for kind in (DeprecationWarning, FutureWarning, ResourceWarning):
                warnings.simplefilter("ignore", kind)
            package("ray.data")
            logger.setLevel(level)
            yield
    finally:
        logger.setLevel(logging.NOTSET)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def _settings(context: Any) -> Iterator[None]:
    """Ray Data without progress bars of its own."""
    wanted = {
        "enable_progress_bars": False,
        "enable_operator_progress_bars": False,
        "print_on_execution_start": False,
    }
    before = {name: getattr(context, name) for name in wanted}
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
