"""How chat and completions differ: the shape of a choice, and of a part of it in a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from serving.streams import Piece, Token


class Shape(ABC):
    """One of the two."""

    prefix: ClassVar[str]
    whole: ClassVar[str]
    chunk: ClassVar[str]

    @abstractmethod
    def choice(self, at: int, pieces: Sequence[Piece], logprobs: bool) -> dict[str, Any]:
        """An answer as a whole."""

    @abstractmethod
    def delta(self, at: int, piece: Piece, first: bool, logprobs: bool) -> dict[str, Any]:
        """A part of it."""


class ChatShape(Shape):
    """`/v1/chat/completions`."""

    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def choice(self, at: int, pieces: Sequence[Piece], logprobs: bool) -> dict[str, Any]:
        """A message."""
        text = "".join(piece.text for piece in pieces)
        return {
            "index": at,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": self._logprobs(_tokens(pieces)) if logprobs else None,
            "finish_reason": _reason(pieces[-1]),
        }

    def delta(self, at: int, piece: Piece, first: bool, logprobs: bool) -> dict[str, Any]:
        """What is added to a message."""
        return {
            "index": at,
            "delta": {**({"role": "assistant"} if first else {}), "content": piece.text},
            "logprobs": self._logprobs(piece.tokens) if logprobs else None,
            "finish_reason": _reason(piece),
        }

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        content = [
            {"token": one.text, "logprob": one.logprob, "bytes": list(one.text.encode()), "top_logprobs": []}
            for one in tokens
        ]
        return {"content": content, "refusal": None}


class CompletionShape(Shape):
    """`/v1/completions`."""

    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def choice(self, at: int, pieces: Sequence[Piece], logprobs: bool) -> dict[str, Any]:
        """A text."""
        return {
            "index": at,
            "text": "".join(piece.text for piece in pieces),
            "logprobs": self._logprobs(_tokens(pieces)) if logprobs else None,
            "finish_reason": _reason(pieces[-1]),
        }

    def delta(self, at: int, piece: Piece, first: bool, logprobs: bool) -> dict[str, Any]:
        """The next part of a text."""
        return self.choice(at, [piece], logprobs)

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        offsets, at = [], 0
        for one in tokens:
            offsets.append(at)
            at += len(one.text)
        return {
            "tokens": [one.text for one in tokens],
            "token_logprobs": [one.logprob for one in tokens],
            "top_logprobs": None,
            "text_offset": offsets,
        }


def headers_of(model: str, truncated: Sequence[int]) -> dict[str, str]:
    """Which model answered, and what this protocol has no field for: the places of the texts that were cut."""
    cut = {"X-Truncated": ",".join(map(str, truncated))} if truncated else {}
    return {"X-Model-Version": model, **cut}


def _tokens(pieces: Sequence[Piece]) -> list[Token]:
    return [token for piece in pieces for token in piece.tokens]


def _reason(piece: Piece) -> str | None:
    return None if piece.finished is None else "stop" if piece.finished else "length"
