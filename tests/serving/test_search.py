"""`POST /v1/search`: the answers of the index, under the limits of the service; a clear refusal without one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.app import build as application
from serving.core import Core
from serving.slot import Slot, SlotDescription
from serving.table import Table
from sluice.errors import UserError
from sluice.files import link_tree, write_json
from sluice.inference.bundle import Bundle, bundle_digest
from sluice.inference.engines.fastest import FastestEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.inference.settings import Serve
from sluice.search.answers import prompt_from
from sluice.search.build import build
from sluice.search.documents import open_corpus
from sluice.search.searcher import Hit, Searcher, embedder
from tests.search.vectors import settings, write_documents
from tests.serving.conftest import described

pytestmark = pytest.mark.slow
ENGINE = TorchEngine(threads=1)
QUERIES = ["old iron", "near the rhine"]


@pytest.fixture(scope="module")
def description(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> SlotDescription:
    """The tiny bundle as one that embeds, with an index of some documents."""
    folder = tmp_path_factory.mktemp("search")
    link_tree(bundle, folder / "bundle")
    (folder / "bundle" / "bundle.json").unlink()  # a link: not to be written to
    lineage = Bundle.read(bundle).lineage
    Bundle(task="embedding", fields={"max_length": 32}, labels=(), lineage=lineage).write(folder / "bundle")
    chosen = settings(write_documents(folder / "rows.jsonl", 60))
    predictor = Predictor(folder / "bundle", ENGINE)
    (folder / "index").mkdir()
    record = build(folder / "index", open_corpus(chosen, folder), embedder(predictor), chosen)
    digest = bundle_digest(folder / "bundle")
    write_json(folder / "index" / "manifest.json", {"record": {**record, "bundle": digest, "version": "found:1"}})
    return SlotDescription(
        name="found",
        version=1,
        task="embedding",
        folder=folder / "bundle",
        index=folder / "index",
        digest=digest,
        data="d" * 64,
    )


def post(
    description: SlotDescription, body: Any, *others: SlotDescription, route: str = "/v1/search", **more: Any
) -> httpx.Response:
    """Ask a service of these slots, in this process."""
    settings = Serve(engine=FastestEngine(threads=1), **more)

    async def ask() -> httpx.Response:
        app = application(Core(Table([Slot.load(one, settings) for one in (description, *others)]), settings))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.post(route, json=body)

    return asyncio.run(ask())


def test_hits_are_those_of_the_searcher(description: SlotDescription) -> None:
    answer = post(description, {"input": QUERIES, "options": {"k": 3}})
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == "found:1"
    predictor = Predictor(description.folder, ENGINE)
    direct = Searcher(description.index, embedder(predictor)).search(QUERIES, 3)
    found = answer.json()["results"]
    assert [[hit["id"] for hit in one["hits"]] for one in found] == [[hit.id for hit in hits] for hits in direct]
    assert set(found[0]["hits"][0]) == {"text", "score", "source", "id", "title"}
    assert answer.json()["usage"] == {"texts": 2, "tokens": predictor.predict(QUERIES).tokens, "truncated": []}


def test_one_text_has_ten_hits(description: SlotDescription) -> None:
    answer = post(description, {"input": QUERIES[0]}).json()
    assert len(answer["results"]) == 1
    assert len(answer["results"][0]["hits"]) == 10


@pytest.mark.parametrize(
    ("body", "more", "status", "param"),
    [
        ({"input": QUERIES, "options": {"k": 0}}, {}, 422, "options.k"),
        ({"input": QUERIES, "options": {"k": 101}}, {}, 422, "options.k"),
        ({"input": QUERIES}, {"max_texts": 1}, 413, "input"),
        ({"input": "x" * 50}, {"max_characters": 40}, 413, "input"),
        ({"input": QUERIES, "model": "other"}, {}, 404, "model"),
    ],
)
def test_the_limits_hold(
    description: SlotDescription, body: Any, more: dict[str, Any], status: int, param: str
) -> None:
    answer = post(description, body, **more)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_without_an_index_it_says_how_to_make_one(description: SlotDescription) -> None:
    answer = post(description.model_copy(update={"index": None}), {"input": QUERIES})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "no_index"
    assert 'make index ARGS="name=found version=1"' in answer.json()["error"]["message"]


def test_an_index_of_another_bundle_is_refused(description: SlotDescription, tmp_path: Path) -> None:
    description.verify()
    write_json(tmp_path / "manifest.json", {"record": {"bundle": "other", "version": "found:2"}})
    with pytest.raises(UserError, match="is an index of found:2, not of found:1"):
        description.model_copy(update={"index": tmp_path}).verify()


def test_a_question_is_answered_from_the_index(description: SlotDescription, chat_bundle: Path) -> None:
    chat = described(chat_bundle, "apichat", "chat")
    answer = post(description, {"input": QUERIES[0], "options": {"passages": 2}}, chat, route="/v1/ask")
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == "apichat:1"
    (result,) = answer.json()["results"]
    found = post(description, {"input": QUERIES[0], "options": {"k": 2}}).json()["results"][0]["hits"]
    assert result["hits"] == found
    written = Predictor(chat_bundle, ENGINE).predict([prompt_from(QUERIES[0], [Hit(**hit) for hit in found], 60).text])
    assert result["text"] == written.results[0].text
    refused = post(description, {"input": QUERIES[0], "model": "found"}, chat, route="/v1/ask")
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "model")
    assert "these write: apichat:1" in refused.json()["error"]["message"]
