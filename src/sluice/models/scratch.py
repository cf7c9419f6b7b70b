"""What recipes have in common whose weights are drawn, and whose tokenizer is trained on their own texts."""

from __future__ import annotations

from abc import ABC
from pathlib import Path

from pydantic import Field

from sluice.models.checkpoint import Checkpoint
from sluice.models.spec import ModelSpec


class FromScratch(ModelSpec, ABC):
    """A size; the defaults train on a laptop."""

    vocabulary: int = Field(16_000, ge=300)
    """Tokens in the vocabulary, at most; small data fills less."""
    lowercase: bool = False
    """Whether upper case is folded before tokenizing, and so in what is written."""
    hidden: int = Field(256, ge=8)
    """Width of the residual stream."""
    layers: int = Field(2, ge=1)
    """Of an encoder-decoder, those of the encoder."""
    heads: int = Field(4, ge=1)
    feed_forward: int = Field(512, ge=8)
    """Width inside the feed-forward blocks; those of encoders and decoders are gated."""

    def fingerprint(self) -> str:
        """The configuration is all there is."""
        return self.digest()

    def pretrained(self, folder: Path) -> ModelSpec:
        """The pretrained weights."""
        return Checkpoint(path=str(folder))
