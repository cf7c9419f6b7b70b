"""What happens to a service among many callers, bad callers and faults."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from serving.slot import SlotDescription
from sluice.config import load_file, to_yaml
from sluice.inference.settings import Serve
from tests.serving.conftest import described
from tests.serving.live import Server, start

pytestmark = pytest.mark.slow
JSON = {"Content-Type": "application/json"}
TALK = {"model": "apichat", "messages": [{"role": "user", "content": "open the file"}], "max_tokens": 2000}


@pytest.fixture(scope="module")
def long_chat(chat_bundle: Path, config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of one worker whose chat model never ends by itself."""
    from sluice.files import link_tree, write_json

    folder = tmp_path_factory.mktemp("long")
    link_tree(chat_bundle, folder / "bundle")
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / "bundle" / name).read_text())
        (folder / "bundle" / name).unlink()  # a link: not to be written to
        changed = {"eos_token_id": None, "max_position_embeddings": 4096, "model_max_length": 4096}
        write_json(folder / "bundle" / name, {**settings, **{key: changed[key] for key in changed if key in settings}})
    running = start(
        folder,
        described(folder / "bundle", "apichat", "chat"),
        SLUICE_CONFIG=str(with_(config_file, folder, workers=1)),
    )
    yield running
    running.stop()


def with_(config_file: Path, folder: Path, **serve: object) -> Path:
    """The same configuration with other settings of the service."""
    config = load_file(config_file)
    fields = {**{name: getattr(config.serve, name) for name in Serve.model_fields}, **serve}
    path = folder / "config.yaml"
    path.write_text(to_yaml(config.model_copy(update={"serve": Serve(**fields)})))
    return path


def figure(server: Server, name: str) -> float:
    found = re.search(rf"^{name}(?:\{{.*\}})? (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def until(true: Callable[[], bool], seconds: float = 60, seen: Callable[[], object] = str) -> None:
    """Wait for something to become so; `seen` tells what is so instead."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, seen()
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_frees_the_writer(long_chat: Server, stream: bool) -> None:
    with httpx.Client(base_url=long_chat.url, timeout=30) as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json={**TALK, "stream": True}) as answer:
                lines = answer.iter_lines()
                assert json.loads(next(lines).removeprefix("data: "))["choices"][0]["finish_reason"] is None
                assert figure(long_chat, "sluice_texts_in_progress") == 1
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=TALK, timeout=0.5)
    until(lambda: figure(long_chat, "sluice_texts_in_progress") == 0)
    if not stream:  # who has had a part of the answer has had its status
        until(lambda: 'route="/v1/chat/completions",status="499"' in httpx.get(f"{long_chat.url}/metrics").text)
    assert 'status="500"' not in httpx.get(f"{long_chat.url}/metrics").text


def test_a_stream_under_way_is_ended_by_sigterm_in_time(
    chat_bundle: Path, long_chat: Server, config_file: Path, tmp_path: Path
) -> None:
    """What is being written is written to its end, but for no longer than the grace period."""
    slots = long_chat.log.parent / "slots.json"
    folder = Path(json.loads(slots.read_text())[0]["folder"])
    config = with_(config_file, tmp_path, workers=1, grace_s=1.5)
    server = start(tmp_path, described(folder, "apichat", "chat"), SLUICE_CONFIG=str(config))
    asked = {**TALK, "max_tokens": 4000, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=asked, timeout=30) as answer:
        next(answer.iter_lines())
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=20)
        assert time.monotonic() - begun < 10


def test_slow_callers_hold_nobody_up(server: Server) -> None:
    """Thirty connections that send half of a request each, while others ask."""
    url = urlsplit(server.url)
    lines = (
        "POST /v1/classify HTTP/1.1",
        f"Host: {url.netloc}",
        "Content-Type: application/json",
        "Content-Length: 99",
    )
    head = "\r\n".join([*lines, "", ""])
    slow = [socket.create_connection((url.hostname, url.port)) for _ in range(30)]
    try:
        for connection in slow:
            connection.sendall(head.encode() + b'{"input": "op')
        with httpx.Client(base_url=server.url, timeout=5) as client:
            for _ in range(20):
                assert client.post("/v1/classify", json={"input": "open a file"}).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_killed_worker_comes_back(description: SlotDescription, config_file: Path, tmp_path: Path) -> None:
    """Inside of a container, too, where BentoML alone would leave it dead."""
    server = start(tmp_path, description, SLUICE_CONFIG=str(config_file), BENTOML_CONTAINERIZED="true")

    def workers() -> list[psutil.Process]:
        found = []
        for child in psutil.Process(server.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "_bentoml_impl.worker.service" in child.cmdline():
                    found.append(child)
        return found

    try:
        before = workers()
        assert len(before) == 2
        os.kill(before[0].pid, signal.SIGKILL)
        until(
            lambda: len([one for one in workers() if one.pid != before[0].pid]) == 2,
            120,
            lambda: server.log.read_text()[-3000:],
        )
        for _ in range(10):
            answer = httpx.post(f"{server.url}/v1/classify", json={"input": "open a file"}, timeout=30)
            assert answer.status_code == 200

        def memory() -> tuple[float, float]:
            """What all workers hold, and what is told of it."""
            held = sum(worker.memory_full_info().pss for worker in workers())
            return held, figure(server, "sluice_process_memory_bytes")

        def told() -> bool:
            held, figure = memory()
            return 0.7 * held < figure < 1.3 * held

        until(told, 120, memory)  # the one that was killed is in the figures no more
    finally:
        assert server.stop() == 0


def test_services_of_one_user_count_apart(description: SlotDescription, config_file: Path, tmp_path: Path) -> None:
    """BentoML has one folder of figures for all of them, and empties it whenever one starts."""
    homes = [tmp_path / "first", tmp_path / "second"]
    servers = []
    try:
        for home in homes:
            home.mkdir()
            kept = {"SLUICE_CONFIG": str(config_file), "BENTOML_HOME": str(tmp_path / "bentoml")}
            servers.append(start(home, description, **kept))
            for _ in range(8):
                answer = httpx.post(f"{servers[0].url}/v1/classify", json={"input": "open a file"}, timeout=30)
                assert answer.status_code == 200
        asked = r'^sluice_requests_total\{.*route="/v1/classify",status="200"\} (\S+)$'
        pages = [httpx.get(f"{server.url}/metrics").text for server in servers]
        assert [re.findall(asked, page, re.MULTILINE) for page in pages] == [["16.0"], []]
    finally:
        stopped = [server.stop() for server in servers]
    assert stopped == [0, 0]


def test_a_storm_is_answered_or_turned_away(description: SlotDescription, config_file: Path, tmp_path: Path) -> None:
    """Never an error of the service, and whoever is turned away is answered when asking again."""
    config = with_(config_file, tmp_path, workers=1, max_waiting=8, batch=1)
    server = start(tmp_path, description, SLUICE_CONFIG=str(config))
    body = json.dumps({"input": ["open a file and read its lines"] * 4}).encode()
    barrier = threading.Barrier(16)

    def storm(_: int) -> list[int]:
        """Ask until three answers are there."""
        statuses: list[int] = []
        with httpx.Client(base_url=server.url, timeout=30) as client:
            barrier.wait()
            while statuses.count(200) < 3:
                answer = client.post("/v1/classify", content=body, headers=JSON)
                statuses.append(answer.status_code)
                assert (answer.status_code == 429) == ("Retry-After" in answer.headers)
                time.sleep(0.05 if answer.status_code == 429 else 0)
        return statuses

    try:
        with ThreadPoolExecutor(16) as callers:
            told = [status for own in callers.map(storm, range(16)) for status in own]
        assert set(told) == {200, 429}
        until(lambda: figure(server, "sluice_texts_in_progress") == 0)
    finally:
        assert server.stop() == 0


def test_no_description_of_ours_leads_to_an_error_of_the_service(house: Server) -> None:
    """schemathesis makes requests of the OpenAPI document: such as it calls valid, and others."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.generation import GenerationMode

    schema = schemathesis.openapi.from_url(f"{house.url}/openapi.json")
    seen: set[int] = set()
    chosen = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

    def check(case: schemathesis.Case) -> None:
        answer = case.call(timeout=60)
        seen.add(answer.status_code)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        if answer.status_code >= 400:
            assert "error" in answer.json()

    for found in schema.get_all_operations():
        for mode in GenerationMode:
            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a GET that takes nothing
                chosen(given(case=found.ok().as_strategy(generation_mode=mode))(check))()
    assert 200 in seen
    assert seen & {400, 422}
