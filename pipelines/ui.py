"""MLflow's pages on the local database."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.store import Store

HOST, PORT = "127.0.0.1", 5000


def command(cfg: Config) -> int:
    """`make ui`: the MLflow server, until it is stopped."""
    store = Store(cfg.root, cfg.tracking_uri)
    if store.is_server:
        raise UserError(f"the MLflow server has its own pages: open {store.uri}")
    with socket.socket() as probe:
        if probe.connect_ex((HOST, PORT)) == 0:
            raise UserError(f"port {PORT} is taken: stop what listens on {HOST}:{PORT} (is `make ui` running already?)")
    print(f"http://{HOST}:{PORT}   (choose 'Model training' where MLflow asks; stop with Ctrl-C)")
    print("Moving, backing up and cleaning what it shows: docs/operations.md", flush=True)
    artifacts = store.root / "artifacts"
    arguments = ["server", "--host", HOST, "--port", str(PORT), "--workers", "1"]
    arguments += ["--backend-store-uri", store.uri, "--artifacts-destination", str(artifacts)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    signal.signal(signal.SIGTERM, _interrupt)
    # In a session of its own: MLflow answers Ctrl-C with a traceback, and SIGTERM with an orderly end.
    server = subprocess.Popen([sys.executable, "-m", "mlflow", *arguments], env=environment, start_new_session=True)
    try:
        code = server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0
    return code


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(command)
