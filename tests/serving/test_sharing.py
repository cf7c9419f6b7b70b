"""Connections are divided evenly among the workers."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import httpx
import psutil
import pytest

from serving.sharing import Counts
from tests.serving.live import Server


def _hold(path: Path, connections: int, ready: object, over: object) -> None:
    counts = Counts(path)
    counts.add(connections)
    ready.set()  # type: ignore[attr-defined]
    over.wait()  # type: ignore[attr-defined]


def test_who_has_more_stands_back_and_a_dead_worker_s_place_is_taken_again(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = Counts.create(2)
    try:
        ready, over = context.Event(), context.Event()
        other = context.Process(target=_hold, args=(path, 3, ready, over))
        other.start()
        assert ready.wait(30)
        mine = Counts(path)
        assert mine.ahead() == -3
        mine.add(5)
        assert mine.ahead() == 2
        assert Counts(path).ahead() == 0  # there is no place left, and so nobody to stand back for
        other.kill()
        other.join()
        assert Counts(path).ahead() == -5
    finally:
        path.unlink()


@pytest.mark.slow
def test_neither_worker_has_all_connections(server: Server) -> None:
    clients = [httpx.Client(base_url=server.url, timeout=30) for _ in range(12)]
    try:
        before = connections(server)
        for client in clients:
            assert client.post("/v1/classify", json={"input": "open a file"}).status_code == 200
        more = [after - earlier for after, earlier in zip(connections(server), before, strict=True)]
        assert sum(more) == 12
        assert min(more) >= 4
    finally:
        for client in clients:
            client.close()


def connections(server: Server) -> list[int]:
    """How many callers each worker has."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        if "_bentoml_impl.worker.service" in child.cmdline():
            held = [one for one in child.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED]
            found.append(len(held))
    return found
