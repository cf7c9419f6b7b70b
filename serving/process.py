"""The service's processes: refused in one line before they start, ended in time when told to stop."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from serving import OWN_FIGURES
from serving.follower import FIGURES
from sluice.errors import UserError
from sluice.inference.engine import VISIBLE, gpus
from sluice.inference.settings import Serve

GRPC_PORT = "SLUICE_GRPC_PORT"
"""Variable that stands above `serve.grpc_port`, as BentoML's `--port` does above `serve.port`; 0 for none."""
HOST = "SLUICE_HOST"
"""Variable by which workers know the address that `bentoml serve --host` asks for."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print the user's mistakes without a traceback and exit with code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def refuse_taken_ports(settings: Serve) -> None:
    """Fail before any worker starts where something listens on a port already; tell workers the host asked for."""
    context = click.get_current_context(silent=True)
    given = context.params if context else {}
    host, port = given.get("host") or settings.host, given.get("port") or settings.port
    os.environ[HOST] = host
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    os.environ[FIGURES] = f"http://{near}:{port}/metrics"
    _refuse_taken(host, port, f"bentoml serve --port {port + 1}")
    if settings.grpc_port:
        _refuse_taken(
            host, settings.grpc_port, f"{GRPC_PORT}={settings.grpc_port + 1} bentoml serve, or {GRPC_PORT}=0 for none"
        )


def _refuse_taken(host: str, port: int, other: str) -> None:
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror}. Stop what listens there, "
            f"or choose another port: {other}"
        ) from error


def bring_back_workers() -> None:
    """Let a worker that was killed be started again inside of a container, too, where BentoML would not."""
    from bentoml import serving

    serving.running_inside_container = lambda: False


def share_connections(workers: int) -> None:
    """Divide connections evenly among the workers, see `serving.sharing`. In the supervisor: make what they share."""
    if workers > 1:
        from serving.sharing import COUNTS, Counts

        path = Counts.create(workers)
        os.environ[COUNTS] = str(path)
        atexit.register(path.unlink, missing_ok=True)


def make_own_figures() -> None:
    """In the supervisor: a folder in which the workers of this service add up their figures, until it ends.

    In BentoML's, those of all services of a user would be added up, and each that starts empties it.
    """
    folder = tempfile.mkdtemp(prefix="sluice-figures-")
    os.environ[OWN_FIGURES] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def spare_the_collector() -> None:
    """What is loaded stays: the garbage collector need not walk through all of it again and again.

    To be called on the event loop: what it frees may belong to that.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back_memory() -> None:
    """After models were freed, return to the system what malloc holds for nobody.

    Each is loaded in another thread, whose arena would keep its room: 140 MB of a process instead of 75.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def use_sharing_loop() -> None:
    """Let uvicorn, which BentoML starts in each worker, take the loop that shares."""
    from uvicorn import config

    config.LOOP_FACTORIES["auto"] = "serving.sharing:loop_factory"


def choose_gpu() -> None:
    """Give each worker a GPU of its own, before anything has looked for one."""
    from bentoml import server_context

    found = gpus()
    if found and server_context.worker_index:
        os.environ[VISIBLE] = found[(server_context.worker_index - 1) % len(found)]


def end_within(grace_s: float) -> None:
    """Bound the drain after SIGTERM: BentoML would wait a day for a request that hangs."""
    drain = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(grace_s, os._exit, (1,))
        timer.daemon = True
        timer.start()
        if callable(drain):
            drain(number, frame)

    signal.signal(signal.SIGTERM, stop)
