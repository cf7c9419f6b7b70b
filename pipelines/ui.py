"""MLflow's pages on the local database."""

from __future__ import annotations

import os
import socket
import sys

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.store import Store

HOST, PORT = "127.0.0.1", 5000


def command(cfg: Config) -> None:
    """`make ui`: becomes the MLflow server until it is stopped."""
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
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main(command)
