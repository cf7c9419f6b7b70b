"""MLflow's server, PostgreSQL and an S3 store as real processes, each gone when its context ends."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.serving.live import free_port

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
WANTED = "no PostgreSQL on this machine: apt-get install postgresql"


@dataclass
class Server:
    """An MLflow server that can be stopped and started again at the same place."""

    folder: Path
    backend: str
    destination: str
    environment: dict[str, str]
    port: int
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", self.backend]
        command += ["--artifacts-destination", self.destination]
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "server.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        pytest.fail(f"the MLflow server did not start:\n{(self.folder / 'server.txt').read_text()}")

    def signal(self, number: int) -> None:
        """Send a signal to the server and to its workers."""
        os.killpg(self.process.pid, number)

    def stop(self, number: int = 9) -> None:
        self.signal(number)
        self.process.wait(30)


@contextmanager
def mlflow_server(folder: Path, backend: str, destination: str, **environment: str) -> Iterator[Server]:
    server = Server(folder, backend, destination, environment, free_port())
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(15)


@contextmanager
def postgres() -> Iterator[str]:
    """A fresh cluster with the database `mlflow`; yields its URI. As root it runs as the user that Debian made."""
    if POSTGRES is None:
        assert "CI" not in os.environ, WANTED
        pytest.skip(WANTED)
    folder = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
    as_owner = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_owner = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        done = subprocess.run([*as_owner, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    port, data = free_port(), folder / "data"
    try:
        run(f"{POSTGRES}/initdb", "-D", str(data), "-U", "sluice", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-h 127.0.0.1 -p {port} -k {folder} -F"
        run(f"{POSTGRES}/pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            run(f"{POSTGRES}/createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "sluice", "mlflow")
            yield f"postgresql+psycopg2://sluice@127.0.0.1:{port}/mlflow"
        finally:
            run(f"{POSTGRES}/pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """An S3 store with the bucket `mlflow`; yields the environment of its clients."""
    import boto3
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "sluice", "AWS_SECRET_ACCESS_KEY": "sluice", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="sluice",
            aws_secret_access_key="sluice",
            region_name="us-east-1",
        ).create_bucket(Bucket="mlflow")
        yield {**keys, "MLFLOW_S3_ENDPOINT_URL": url}
    finally:
        store.stop()
