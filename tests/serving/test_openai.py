"""OpenAI's protocol, by the client that others wrote: sync, async and streaming."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.tasks.generation import GenerationOptions
from tests.serving.live import Server

pytestmark = pytest.mark.slow
ASKED = [{"role": "user", "content": "open the file"}]


@pytest.fixture(scope="module")
def client(house: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0, timeout=30) as connection:
        yield connection


@pytest.fixture(scope="module")
def writer(chat_bundle: Path) -> Predictor:
    return Predictor(chat_bundle, TorchEngine(threads=1))


def chat(client: OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": "apichat", "messages": ASKED, **more})


def expected(writer: Predictor, **options: Any) -> Any:
    return writer.predict([json.dumps(ASKED)], GenerationOptions(**options)).results[0]


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"max_completion_tokens": 4}, {"max_new_tokens": 4}),
        ({"temperature": 1.5, "top_p": 0.9, "seed": 7}, {"temperature": 1.5, "top_p": 0.9, "seed": 7}),
    ],
)
def test_the_same_text_as_the_predictor_writes(
    client: OpenAI, writer: Predictor, asked: dict[str, Any], options: dict[str, Any]
) -> None:
    answer = chat(client, **asked)
    right = expected(writer, **options)
    (choice,) = answer.choices
    assert choice.message.content == right.text
    assert choice.message.role == "assistant"
    assert choice.finish_reason == ("stop" if right.finished else "length")
    assert answer.model == "apichat:1"
    limit = options.get("max_new_tokens", 16)
    assert answer.usage.completion_tokens <= limit
    assert answer.usage.completion_tokens == limit or right.finished
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same_in_pieces(client: OpenAI) -> None:
    whole = chat(client, temperature=1.0, seed=3)
    chunks = list(chat(client, temperature=1.0, seed=3, stream=True, stream_options={"include_usage": True}))
    *pieces, last = chunks
    assert "".join(one.choices[0].delta.content or "" for one in pieces) == whole.choices[0].message.content
    assert pieces[0].choices[0].delta.role == "assistant"
    assert [one.choices[0].finish_reason for one in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.choices == []
    assert last.usage == whole.usage
    assert len(pieces) > 3


def test_it_ends_before_a_stop(client: OpenAI) -> None:
    whole = chat(client).choices[0].message.content
    stop = whole[len(whole) // 2 :][:3]
    for answer in (
        chat(client, stop=stop).choices[0].message.content,
        "".join(one.choices[0].delta.content for one in chat(client, stop=[stop, "never"], stream=True)),
    ):
        assert answer == whole[: whole.index(stop)].rstrip()


def test_several_answers_have_seeds_of_their_own(client: OpenAI, writer: Predictor) -> None:
    answer = chat(client, n=3, temperature=2.0, seed=5)
    texts = [choice.message.content for choice in answer.choices]
    assert texts == [expected(writer, temperature=2.0, seed=seed).text for seed in (5, 6, 7)]
    assert len(set(texts)) == 3
    found = ["", "", ""]
    for chunk in chat(client, n=3, temperature=2.0, seed=5, stream=True):
        found[chunk.choices[0].index] += chunk.choices[0].delta.content
    assert found == texts


def test_logprobs_are_those_of_the_tokens(client: OpenAI) -> None:
    (choice,) = chat(client, logprobs=True, max_tokens=6).choices
    tokens = choice.logprobs.content
    assert 0 < len(tokens) <= 6
    assert all(one.logprob <= 0 for one in tokens)
    assert "".join(one.token for one in tokens).strip() == choice.message.content
    greedy = np.array([one.logprob for one in tokens])
    drawn = chat(client, logprobs=True, max_tokens=6, temperature=2.0, seed=1).choices[0].logprobs.content
    assert np.mean([one.logprob for one in drawn]) < greedy.mean()


def test_completions_of_several_prompts(client: OpenAI) -> None:
    answer = client.completions.create(model="apitexts", prompt=["open a", "read the"], max_tokens=4, logprobs=1)
    assert [choice.index for choice in answer.choices] == [0, 1]
    alone = [
        client.completions.create(model="apitexts:1", prompt=text, max_tokens=4).choices[0].text
        for text in ("open a", "read the")
    ]
    assert [choice.text for choice in answer.choices] == alone
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.token_logprobs)
    stream = client.completions.create(model="apitexts", prompt="open a", max_tokens=4, stream=True)
    assert "".join(one.choices[0].text for one in stream) == alone[0]


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_embeddings(client: OpenAI, embed_bundle: Path, form: Any) -> None:
    texts = ["open a file", "shortest path"]
    more = {"encoding_format": form} if form else {}
    answer = client.embeddings.create(model="apipairs@champion", input=texts, **more)
    right = [one.embedding for one in Predictor(embed_bundle, TorchEngine()).predict(texts).results]
    for one, vector in zip(answer.data, right, strict=True):
        own = np.frombuffer(__import__("base64").b64decode(one.embedding), "<f4") if form == "base64" else one.embedding
        assert np.allclose(own, vector, atol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    short = client.embeddings.create(model="apipairs", input="open a file", dimensions=8)
    assert len(short.data[0].embedding) == 8


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["apidocs:7", "apichat:1", "apitexts:1", "apipairs:1"]
    assert client.models.retrieve("apichat").id == "apichat:1"


BAD: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], str | None]] = {
    "unknown model": ({"model": "other"}, openai.NotFoundError, "model"),
    "a model of another task": ({"model": "apidocs"}, openai.NotFoundError, "model"),
    "no messages": ({"messages": []}, openai.BadRequestError, "messages"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}]},
        openai.BadRequestError,
        None,
    ),
    "the assistant's turn": (
        {"messages": [*ASKED, {"role": "assistant", "content": "a"}]},
        openai.BadRequestError,
        None,
    ),
    "temperature": ({"temperature": -1}, openai.BadRequestError, "temperature"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "a"}}]}, openai.BadRequestError, None),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 3}, openai.BadRequestError, "top_logprobs"),
}


@pytest.mark.parametrize(("asked", "error", "param"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_in_their_shape(
    client: OpenAI, asked: dict[str, Any], error: type[openai.APIStatusError], param: str | None, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        chat(client, **asked, stream=stream)
    told: Any = caught.value.body
    assert set(told) == {"type", "message", "param", "code"}
    if param:
        assert told["param"] == param


def test_neutral_fields_are_let_through(client: OpenAI) -> None:
    chat(client, frequency_penalty=0, presence_penalty=0.0, user="me", response_format={"type": "text"})


def test_a_text_that_is_cut_is_said_to_be(client: OpenAI) -> None:
    short = client.embeddings.with_raw_response.create(model="apipairs", input=["open", "close"])
    assert "X-Truncated" not in short.headers
    long = client.embeddings.with_raw_response.create(model="apipairs", input=["open", "close " * 60])
    assert long.headers["X-Truncated"] == "1"
    talk = [{"role": "user", "content": "close " * 90}]
    assert (
        client.chat.completions.with_raw_response.create(model="apichat", messages=talk).headers["X-Truncated"] == "0"
    )


def test_too_many_answers_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.completions.create(model="apitexts", prompt=["a"] * 9, n=8)
    assert caught.value.status_code == 413


def test_many_at_once_write_what_each_would_alone(house: Server, writer: Predictor) -> None:
    async def ask(client: AsyncOpenAI, seed: int) -> str:
        pieces = await client.chat.completions.create(
            model="apichat", messages=ASKED, temperature=1.5, seed=seed, stream=True
        )
        return "".join([one.choices[0].delta.content or "" async for one in pieces])

    async def all_of_them() -> list[str]:
        async with AsyncOpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, seed) for seed in range(24)))

    assert asyncio.run(all_of_them()) == [expected(writer, temperature=1.5, seed=seed).text for seed in range(24)]
