"""What callers send. Fields that would change the answer and are not ours are refused, neutral ones are let through."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from sluice.tasks.generation import GenerationOptions

IGNORED = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
"""About the caller or the provider, not about the answer."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1), BeforeValidator(_as_list, json_schema_input_type=Text | list[Text])]


class Ask(BaseModel):
    """What every request has."""

    model_config = ConfigDict(extra="allow")

    model: str

    @model_validator(mode="after")
    def _refuse_what_is_not_ours(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name not in IGNORED and value not in (None, 0, False, [], {}, "", "none", {"type": "text"}):
                raise ValueError(f"'{name}' is not supported here")
        return self


class StreamOptions(BaseModel):
    """About a stream."""

    include_usage: bool = False


class Writing(Ask):
    """What chat and completions have in common."""

    max_tokens: int | None = Field(None, ge=1, le=4096)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    n: int = Field(1, ge=1, le=8)
    seed: int | None = Field(None, ge=0, lt=2**62)
    stop: Annotated[list[str], Field(max_length=8), BeforeValidator(_as_list)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def usage_asked(self) -> bool:
        """Whether the stream's last chunk is to count tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def options(self, choice: int) -> GenerationOptions:
        """The task's options for one of the `n` answers: each has a seed of its own."""
        return GenerationOptions(
            max_new_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=(self.seed or 0) + choice,
            stop=self.stop or [],
        )


class Part(BaseModel):
    """A part of a message: only text is read."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    @property
    def text(self) -> str:
        """The content as one text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Writing):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, le=4096)
    logprobs: bool = False
    top_logprobs: Literal[0] | None = Field(None, description="Only the token itself has a probability here.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's: there is nothing left to say")
        return self

    @property
    def text(self) -> str:
        """The conversation as the task reads it."""
        turns = [
            {"role": "system" if one.role == "developer" else one.role, "content": one.text} for one in self.messages
        ]
        return json.dumps(turns, ensure_ascii=False)

    def options(self, choice: int) -> GenerationOptions:
        """With the newer name of the same limit."""
        limit = self.max_completion_tokens or self.max_tokens
        return super().options(choice).model_copy(update={"max_new_tokens": limit})


class CompletionRequest(Writing):
    """`POST /v1/completions`."""

    prompt: Texts
    logprobs: int | None = Field(None, ge=0, le=1, description="Only the token itself has a probability here.")


class EmbeddingRequest(Ask):
    """`POST /v1/embeddings`."""

    input: Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)
