"""The service's processes: refused in one line before they start, ended in time when told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from sluice.errors import UserError
from sluice.inference.settings import Serve


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print the user's mistakes without a traceback and exit with code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def refuse_taken_port(settings: Serve) -> None:
    """Fail before any worker starts where something listens on the port already."""
    context = click.get_current_context(silent=True)
    given = context.params if context else {}
    host, port = given.get("host") or settings.host, given.get("port") or settings.port
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror}. Stop what listens there, "
            f"or choose another port: bentoml serve --port {port + 1}"
        ) from error


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
