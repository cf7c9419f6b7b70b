"""`bentoml serve` as users run it, in a process of its own and an empty folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.slot import SlotDescription, write_descriptions

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Server:
    """A running `bentoml serve`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def command(port: int) -> list[str]:
    """How users start the service."""
    return [sys.executable, "-m", "bentoml", "serve", "serving.service:Sluice", "--port", str(port)]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the developer's own: an empty BENTOML_HOME, no configuration, the code by its path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "BENTOML_"))}
    own = {
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "SLUICE_GRPC_PORT": "0",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    return {**kept, **own, **more}


def start(home: Path, *slots: SlotDescription, **more: str) -> Server:
    """Start a service in an empty folder and wait until it is ready; `more` is environment."""
    path = home / "slots.json"
    write_descriptions(path, list(slots))
    trap = home / "mlflow.py"
    trap.write_text("from pathlib import Path\nPath(__file__).with_name('mlflow-was-imported').touch()\n")
    port = free_port()
    log = home / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(port),
            cwd=home,
            env=environment(home, SLUICE_SLOTS=str(path), **more),
            stdout=output,
            stderr=output,
        )
    server = Server(process, f"http://127.0.0.1:{port}", log)
    wait_until_ready(server)
    return server


def wait_until_ready(server: Server) -> None:
    """Poll /readyz; a service that ends first has its log shown."""
    for _ in range(900):
        if server.process.poll() is not None:
            break
        try:
            if httpx.get(f"{server.url}/readyz", timeout=60).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    server.process.kill()
    pytest.fail(f"the service did not start:\n{server.log.read_text()}")


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
