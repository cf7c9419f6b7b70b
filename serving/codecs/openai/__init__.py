"""OpenAI's protocol: chat, completions and embeddings, whole or as a stream."""

from __future__ import annotations

from fastapi import APIRouter

from serving.codecs.openai import embeddings, writing
from serving.core import Core
from serving.routes import JsonRoute


def router(core: Core) -> APIRouter:
    """The routes that this service's models can answer; `/v1/models` is the native one, in the same shape."""
    routes = APIRouter(tags=["OpenAI"], route_class=JsonRoute)
    verbs = core.table.verbs
    if "chat" in verbs:
        writing.add_chat(routes, core)
    if "generate" in verbs:
        writing.add_completions(routes, core)
    if "embed" in verbs:
        embeddings.add(routes, core)
    return routes
