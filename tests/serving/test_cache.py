"""What has been answered before: given again, to whom it may be, until another version is served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from starlette.datastructures import Headers

from serving.callers import CALLER, NOBODY, Caller
from serving.core import Core, Request
from serving.reloader import Reloader
from serving.slot import SlotDescription, write_descriptions
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.settings import Serve
from sluice.tasks.classification import ClassificationOptions


def session(
    description: SlotDescription, tmp_path: Path, test: Callable[[Core], Awaitable[None]], entries: int
) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])

    async def run() -> None:
        await test(Reloader.open(path, Serve(engine=TorchEngine(threads=1), cache_answers=entries)))

    asyncio.run(run())


def asked(*texts: str, top_k: int | None = None) -> Request:
    return Request("classify", texts, ClassificationOptions(top_k=top_k) if top_k else None)


def read(description: SlotDescription) -> float:
    """Tokens of the texts that were computed so far."""
    return REGISTRY.get_sample_value("sluice_tokens_total", {"model": description.id, "kind": "read"}) or 0.0


def caller(**headers: str) -> Caller:
    return Caller(Headers({name.replace("_", "-"): value for name, value in headers.items()}).get, str)


def test_a_repeat_is_not_computed_and_says_the_same(description: SlotDescription, tmp_path: Path) -> None:
    async def test(core: Core) -> None:
        before = read(description)
        first = await core.answer(asked("open a file", "x " * 300, "parse a date"))
        assert read(description) == before + first.tokens
        again = await core.answer(asked("open a file", "x " * 300, "parse a date"))
        assert read(description) == before + first.tokens
        assert (first.repeated, again.repeated) == (False, True)
        assert (again.results, again.tokens, again.truncated) == (first.results, first.tokens, first.truncated)
        some = await core.answer(asked("parse a date", "something new", "open a file"))
        alone = await core.answer(asked("something new"))
        assert read(description) == before + first.tokens + alone.tokens
        assert (some.repeated, alone.repeated) == (False, True)
        assert [some.results[0], some.results[2]] == [first.results[2], first.results[0]]

    session(description, tmp_path, test, 100)


def test_other_options_are_another_question(description: SlotDescription, tmp_path: Path) -> None:
    async def test(core: Core) -> None:
        whole, short = await core.answer(asked("a file")), await core.answer(asked("a file", top_k=2))
        assert len(whole.results[0].scores) > len(short.results[0].scores) == 2
        assert not short.repeated

    session(description, tmp_path, test, 100)


@pytest.mark.parametrize(
    ("first", "second", "repeated"),
    [
        (NOBODY, NOBODY, True),
        (caller(x_caller="one"), caller(x_caller="one"), True),
        (caller(x_caller="one"), caller(x_caller="other"), False),
        (caller(authorization="Bearer one"), NOBODY, False),
        (NOBODY, caller(authorization="Bearer one"), False),
        (NOBODY, caller(cache_control="no-cache"), False),
        (caller(cache_control="no-store"), NOBODY, False),
        (caller(cache_control="no-cache"), NOBODY, True),
    ],
)
def test_who_may_have_what_was_answered_before(
    description: SlotDescription, tmp_path: Path, first: Caller, second: Caller, repeated: bool
) -> None:
    async def test(core: Core) -> None:
        CALLER.set(first)
        await core.answer(asked("a file"))
        CALLER.set(second)
        assert (await core.answer(asked("a file"))).repeated is repeated

    session(description, tmp_path, test, 100)


@pytest.mark.parametrize(("entries", "kept"), [(0, 0), (3, 3), (100, 10)])
def test_it_is_bounded_and_the_last_used_stay(
    description: SlotDescription, tmp_path: Path, entries: int, kept: int
) -> None:
    texts = [f"file {number}" for number in range(10)]

    async def test(core: Core) -> None:
        for text in texts:
            await core.answer(asked(text))
            if entries:
                assert (await core.answer(asked(texts[0]))).repeated == (text == texts[0] or entries > 1)
        assert len(core.cache._known) == kept
        if entries == 3:
            assert [(await core.answer(asked(text))).repeated for text in (texts[0], texts[9], texts[5])] == [
                True,
                True,
                False,
            ]

    session(description, tmp_path, test, entries)


def test_another_version_answers_for_itself(description: SlotDescription, tmp_path: Path) -> None:
    path = tmp_path / "slots.json"
    write_descriptions(path, [description])

    async def run() -> None:
        core = Reloader.open(path, Serve(engine=TorchEngine(threads=1)))
        reloader = Reloader(path, core, lambda: None)
        await core.answer(asked("a file"))
        write_descriptions(path, [description.model_copy(update={"version": 8})])
        await reloader.reload()
        answer = await core.answer(asked("a file"))
        assert (answer.slot.id, answer.repeated) == ("apidocs:8", False)

    asyncio.run(run())
