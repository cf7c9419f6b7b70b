"""The service as a process: how it refuses to start, and how it ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serving.slot import SlotDescription, write_descriptions
from sluice.inference.predictor import Predictor
from tests.serving.live import command, environment, free_port, start

pytestmark = pytest.mark.slow


def test_requests_in_flight_are_answered_after_sigterm(
    description: SlotDescription, predictor: Predictor, tmp_path: Path
) -> None:
    server = start(tmp_path, description)
    body = json.dumps({"input": "open a file"}).encode()
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.putrequest("POST", "/v1/classify")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:5])
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(timeout=1.5)
    connection.send(body[5:])
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.load(answer)["results"] == [predictor.predict(["open a file"]).results[0].model_dump()]
    assert server.process.wait(timeout=20) == 0
    assert "Traceback" not in server.log.read_text()


def refused(home: Path, port: int, **more: str) -> str:
    """The last lines of a service that must exit with code 2 and no traceback."""
    done = subprocess.run(
        command(port),
        cwd=home,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def test_nothing_promoted(tmp_path: Path) -> None:
    assert refused(tmp_path, free_port()) == "error: nothing promoted yet: run make train and make promote"


def test_port_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused(tmp_path, port)


def test_a_bundle_that_was_changed(description: SlotDescription, tmp_path: Path) -> None:
    slots = tmp_path / "slots.json"
    write_descriptions(slots, [description.model_copy(update={"digest": "0" * 64})])
    assert "is not the promoted bundle of apidocs:7" in refused(tmp_path, free_port(), SLUICE_SLOTS=str(slots))
