"""`POST /v1/embeddings`."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from serving.codecs.openai.requests import EmbeddingRequest
from serving.codecs.openai.shapes import headers_of
from serving.core import Core, Request
from sluice.tasks.vectors import VectorOptions


def add(routes: APIRouter, core: Core) -> None:
    """The route of models that embed."""

    @routes.post("/v1/embeddings", name="embeddings")
    async def embeddings(body: EmbeddingRequest) -> Response:
        """A vector for each text."""
        options = VectorOptions(dimensions=body.dimensions)
        answer = await core.answer(Request("embed", body.input, options, body.model))
        data = [
            {"object": "embedding", "index": at, "embedding": _written(one.embedding, body.encoding_format)}
            for at, one in enumerate(answer.results)
        ]
        usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
        content = {"object": "list", "data": data, "model": answer.slot.id, "usage": usage}
        return JSONResponse(content, headers=headers_of(answer.slot.id, answer.truncated))


def _written(vector: list[float], form: str) -> Any:
    """Numbers, or the bytes of little-endian float32 in base64: what OpenAI's clients ask for."""
    import numpy as np

    return vector if form == "float" else base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
