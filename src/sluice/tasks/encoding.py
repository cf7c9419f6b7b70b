"""From texts to what a model reads: token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

Tokenizer: TypeAlias = "PreTrainedTokenizerBase"
"""A tokenizer of transformers. Tasks that write nothing need `sluice.inference.tokenizer.Tokens` of it alone."""


@dataclass(frozen=True)
class Encoded:
    """One input as a model reads it."""

    ids: list[int]
    """Token ids, special tokens included."""
    positions: list[int] | None = None
    """The tokens whose outputs answer; None where the input as a whole has one output."""
    cut: bool = False
    """Whether the input is longer than what is read of it."""


def encodings(
    tokenizer: Tokenizer, inputs: Sequence[Any], limit: int | None, *, offsets: bool = False
) -> list[Encoding]:
    """What the library under a fast tokenizer makes of texts, or of pairs of them, cut to `limit` tokens.

    The same as by calling the tokenizer, in half the time. Only with `offsets` is known where in a text a token stood.
    """
    library = tokenizer.backend_tokenizer
    if limit is None:
        wanted = None
    else:
        direction = tokenizer.truncation_side
        wanted = {"max_length": limit, "strategy": "longest_first", "stride": 0, "direction": direction}
    if library.truncation != wanted:  # not set anew each time: others may be at it in another thread
        library.enable_truncation(**wanted) if wanted else library.no_truncation()
    if library.padding is not None:
        library.no_padding()
    return list((library.encode_batch if offsets else library.encode_batch_fast)(list(inputs)))
