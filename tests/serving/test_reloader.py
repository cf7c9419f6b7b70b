"""Another version while requests are answered: loaded beside the old one, swapped, and the old one freed."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from serving.core import Core, Request
from serving.reloader import Reloader, stamp
from serving.slot import Slot, SlotDescription, write_descriptions
from sluice.files import link_tree
from sluice.inference.bundle import bundle_digest
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.settings import Serve
from tests.serving.conftest import described
from tests.serving.live import Server, start

SETTINGS = Serve(engine=TorchEngine(threads=1))


def follow(path: Path, test: Callable[[Core, Reloader, list[str]], Awaitable[None]]) -> None:
    """Open what a file describes, and hand the test what follows it, with a note of each time routes are made anew."""
    renewed: list[str] = []

    async def session() -> None:
        core = Reloader.open(path, SETTINGS)
        reloader = Reloader(path, core, lambda: renewed.append("anew"))
        await reloader.begin()
        await test(core, reloader, renewed)

    asyncio.run(session())


def versions(core: Core) -> list[str]:
    return [slot.description.id for slot in core.table.slots]


def other(description: SlotDescription, **changes: object) -> SlotDescription:
    return description.model_copy(update=changes)


def broken(description: SlotDescription, folder: Path, version: int) -> SlotDescription:
    """A version whose files are what was promoted, and cannot be loaded."""
    link_tree(description.folder, folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(b"these are no weights")
    return other(description, version=version, folder=folder, digest=bundle_digest(folder))


def engines() -> int:
    gc.collect()
    return sum(thread.name == "engine" for thread in threading.enumerate())


def test_a_new_version_answers_and_the_old_one_ends_with_its_last_request(
    description: SlotDescription, tmp_path: Path
) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        running = engines()
        under_way = core.table.slots[0]
        write_descriptions(path, [other(description, version=8)])
        await reloader.reload()
        assert versions(core) == ["apidocs:8"]
        assert not renewed
        assert engines() == running + 1
        request = Request("classify", ["open a file"])
        old, new = await core.answer_from(under_way, request), await core.answer(request)
        assert (old.slot.id, new.slot.id) == ("apidocs:7", "apidocs:8")
        assert old.results == new.results
        del under_way, old
        for _ in range(100):
            if engines() == running:
                break
            await asyncio.sleep(0.05)
        assert engines() == running

    follow(path, test)


def test_an_alias_that_moves_to_what_is_loaded_loads_nothing(description: SlotDescription, tmp_path: Path) -> None:
    path, second = tmp_path / "slots.json", other(description, version=8, alias="challenger")
    write_descriptions(path, [description, second])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        runner = core.table.named("apidocs:8").runner
        write_descriptions(path, [other(second, alias="champion"), other(description, alias=None)])
        await reloader.reload()
        assert core.table.named("apidocs@champion").description.version == 8
        assert core.table.named("apidocs@champion").runner is runner
        assert versions(core) == ["apidocs:8", "apidocs:7"]

    follow(path, test)


def test_a_version_that_cannot_be_loaded_never_answers_and_says_why(
    description: SlotDescription, tmp_path: Path
) -> None:
    path, bad = tmp_path / "slots.json", broken(description, tmp_path / "broken", 8)
    changed = other(description, version=9, digest="0" * 64)
    write_descriptions(path, [description])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        for one, why in ((bad, "afetensor"), (changed, "is not the promoted bundle of apidocs:9")):
            write_descriptions(path, [one])
            await reloader.reload()
            assert versions(core) == ["apidocs:7"]
            assert why in core.failures[one.id]
            assert (await core.answer(Request("classify", ["a file"]))).slot.id == "apidocs:7"
        write_descriptions(path, [other(description, version=10)])
        await reloader.reload()
        assert versions(core) == ["apidocs:10"]
        assert not core.failures

    follow(path, test)
    # A worker that starts while the file names what cannot be loaded begins with what worked last.
    write_descriptions(path, [bad])
    core = Reloader.open(path, SETTINGS)
    assert versions(core) == ["apidocs:10"]
    assert list(core.failures) == ["apidocs:8"]
    Path(tmp_path / "slots.good.json").unlink()
    with pytest.raises(Exception, match="header"):
        Reloader.open(path, SETTINGS)


def test_a_service_starts_without_a_canary_that_cannot_be_loaded(description: SlotDescription, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    canary = other(broken(description, tmp_path / "broken", 8), alias="canary")
    changed = other(description, version=9, alias="shadow", digest="0" * 64)
    write_descriptions(path, [description, canary, changed])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        assert versions(core) == ["apidocs:7"]
        assert list(core.failures) == ["apidocs:8", "apidocs:9"]
        write_descriptions(path, [description, other(description, version=9, alias="canary")])
        await reloader.reload()
        assert versions(core) == ["apidocs:7", "apidocs:9"]

    follow(path, test)
    write_descriptions(path, [canary])
    (tmp_path / "slots.good.json").unlink()
    with pytest.raises(Exception, match="header"):  # alone it flies beside nobody
        Reloader.open(path, SETTINGS)


def test_what_comes_while_a_worker_loads_is_not_lost(description: SlotDescription, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])

    async def session() -> None:
        seen = stamp(path)
        core = Reloader.open(path, SETTINGS)
        write_descriptions(path, [other(description, version=8)])
        reloader = Reloader(path, core, lambda: None, seen)
        following = asyncio.create_task(reloader.follow())
        for _ in range(200):
            if versions(core) == ["apidocs:8"]:
                break
            await asyncio.sleep(0.05)
        following.cancel()
        assert versions(core) == ["apidocs:8"]

    asyncio.run(session())


def test_a_worker_that_starts_answers_from_what_worked_last_where_the_new_one_cannot_answer(
    description: SlotDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, warm = tmp_path / "slots.json", Slot.warm
    changed = other(description, version=9, digest="0" * 64)
    write_descriptions(path, [description])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        assert versions(core) == ["apidocs:7"]

    async def cold(self: Slot) -> None:
        if self.description.version == 8:
            raise ArithmeticError("the model's outputs are not finite")
        await warm(self)

    follow(path, test)
    monkeypatch.setattr(Slot, "warm", cold)
    write_descriptions(path, [other(description, version=8)])
    follow(path, test)
    # Nor is a bundle served whose files were changed.
    write_descriptions(path, [changed])
    follow(path, test)


def in_use() -> int:
    """Bytes that malloc has given out, whoever holds them: libraries keep what Python does not see."""

    class Info(ctypes.Structure):
        _fields_ = tuple((f"field_{at}", ctypes.c_size_t) for at in range(10))

    tell = ctypes.CDLL(None).mallinfo2
    tell.restype = Info
    gc.collect()
    return int(tell().field_7)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="this C library does not tell what it holds")
def test_what_made_room_leaves_nothing_behind(description: SlotDescription, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])
    texts = [f"w{number} x{number * 7}" for number in range(400)]
    held: list[int] = []

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        for version in range(8, 20):
            write_descriptions(path, [other(description, version=version)])
            await reloader.reload()
            for at in range(0, len(texts), 50):
                await core.answer(Request("classify", texts[at : at + 50]))
            core.cache.forget()
            await reloader._tidy()
            held.append(in_use())

    follow(path, test)
    # In 8 swaps. A tokenizer of each version's own would leave 180 kB behind.
    assert held[-1] - held[3] < 8 * 50_000


@pytest.mark.parametrize("text", ["", "[]", "[{}]", "nonsense"])
def test_a_file_that_says_nothing_changes_nothing(description: SlotDescription, tmp_path: Path, text: str) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        path.write_text(text)
        await reloader.reload()
        path.unlink()
        await reloader.reload()
        assert versions(core) == ["apidocs:7"]

    follow(path, test)


def test_other_tasks_bring_other_routes(description: SlotDescription, embed_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])

    async def test(core: Core, reloader: Reloader, renewed: list[str]) -> None:
        write_descriptions(path, [description, described(embed_bundle, "apipairs", "embedding")])
        await reloader.reload()
        assert renewed == ["anew"]
        assert core.table.verbs == ["classify", "embed", "search"]

    follow(path, test)


class Load:
    """Callers who never pause; what they were answered."""

    def __init__(self, url: str, callers: int = 6) -> None:
        self.url = url
        self.answers: Counter[tuple[int, str]] = Counter()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def _call(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self._ended.is_set():
                answer = client.post("/v1/classify", json={"input": "open a file"})
                self.answers[answer.status_code, answer.headers.get("X-Model-Version", "")] += 1

    @contextmanager
    def going(self) -> Iterator[None]:
        """For as long as this lasts."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()


def until(what: Callable[[], bool], server: Server, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, server.log.read_text()[-3000:]
        time.sleep(0.05)


def served_by_all(server: Server, wanted: str, asked: int = 8) -> bool:
    """Whether callers on new connections, which reach every worker, are all answered from this version."""
    return all(httpx.get(f"{server.url}/readyz").json()["models"] == [wanted] for _ in range(asked))


def memory(server: Server) -> int:
    """Bytes of all processes, shared ones counted once."""
    top = psutil.Process(server.process.pid)
    return sum(one.memory_full_info().pss for one in (top, *top.children(recursive=True)))


@pytest.mark.slow
def test_many_swaps_under_load_lose_no_request_and_no_memory(
    description: SlotDescription, config_file: Path, tmp_path: Path
) -> None:
    server = start(tmp_path, description, SLUICE_CONFIG=str(config_file))
    path, held = tmp_path / "slots.json", []
    load = Load(server.url)
    with load.going():
        for number in range(8, 38):
            write_descriptions(path, [other(description, version=number)])
            until(lambda wanted=f"apidocs:{number}": served_by_all(server, wanted), server)  # type: ignore[misc]
            held.append(memory(server))
    assert {status for status, _ in load.answers} == {200}
    assert {version for _, version in load.answers} <= {f"apidocs:{number}" for number in range(7, 38)}
    assert sum(load.answers.values()) > 300
    early, late = sorted(held[5:15])[5], sorted(held[-10:])[5]
    assert (
        late < early + 24 * 2**20
    )  # one of these models with its tokenizer takes less than a megabyte, a leak 25 of them
    assert server.stop() == 0


@pytest.mark.slow
def test_a_worker_killed_in_mid_swap_comes_back_with_the_new_version(
    description: SlotDescription, config_file: Path, tmp_path: Path
) -> None:
    server = start(tmp_path, description, SLUICE_CONFIG=str(config_file))
    worker = psutil.Process(server.process.pid).children()[0]
    write_descriptions(tmp_path / "slots.json", [other(description, version=8)])
    time.sleep(0.3)  # the file is looked at four times a second
    os.kill(worker.pid, signal.SIGKILL)

    def back() -> bool:
        try:
            return served_by_all(server, "apidocs:8") and len(psutil.Process(server.process.pid).children()) >= 2
        except httpx.TransportError:
            return False

    until(back, server)
    assert server.stop() == 0


@pytest.mark.slow
def test_readiness_tells_what_cannot_be_served(description: SlotDescription, config_file: Path, tmp_path: Path) -> None:
    server = start(tmp_path, description, SLUICE_CONFIG=str(config_file))
    bad = broken(description, tmp_path / "broken", 8)
    write_descriptions(tmp_path / "slots.json", [bad])
    until(lambda: "apidocs:8" in httpx.get(f"{server.url}/readyz").json()["failed"], server)
    found = httpx.get(f"{server.url}/readyz")
    assert found.status_code == 200
    assert found.json()["models"] == ["apidocs:7"]
    assert found.json()["registry"] is None
    assert 'sluice_versions_total{model="apidocs:8",outcome="failed"}' in httpx.get(f"{server.url}/metrics").text
    assert server.stop() == 0
