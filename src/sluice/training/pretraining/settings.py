"""`Pretrain`: what a model reads before it sees a label, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from sluice.data.sources import shards
from sluice.part import digest
from sluice.training.settings import Loop


class Pretrain(Loop):
    """Learning from unlabelled text."""

    enabled: bool = True
    """false: the model starts from its own weights."""
    objective: Literal["mlm", "causal", "spans"] = "mlm"
    """mlm: hidden tokens, by an encoder. causal: the next token, by a decoder. spans: what was taken out, by an
    encoder-decoder."""
    corpus: str | tuple[str, ...] | None = None
    """Glob patterns of JSONL, Parquet or text files, also `.gz`; null: the unlabelled text of the data source."""
    column: str = Field("text", min_length=1)
    """The column of JSONL and Parquet files that holds the text; in `.txt` files a line is a document."""
    near_duplicates: Literal["keep", "drop"] = "keep"
    """drop: leave out documents that are nearly the same as an earlier one."""
    near_duplicate_threshold: float = Field(0.8, ge=0.7, le=1)
    """Share of the 5-character shingles of two documents, of those of either, from which they are nearly the same."""
    max_steps: int = Field(3000, ge=1)
    batch_size: int = Field(16, ge=1)
    """Sequences in one step."""
    sequence_length: int = Field(128, ge=8, le=8192)
    """Tokens in a sequence; a model that takes fewer (`task.max_length`) gets fewer."""
    mask_share: float = Field(0.3, gt=0, le=0.9)
    """Share of the tokens that are hidden or taken out and have to be guessed; causal: all are."""
    span: int = Field(3, ge=1)
    """spans: mean tokens of a run that is taken out."""
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    evaluations: int = Field(5, ge=1)
    """Measurements on held-out text over the whole pretraining."""
    tokenizer_characters: int = Field(20_000_000, ge=1000)
    """Characters of a sample of the corpus, at most, on which a new tokenizer is trained."""
    shuffle_buffer: int = Field(10_000, ge=1)
    """Documents that are held in memory to be drawn from in random order."""
    seed: int = Field(0, ge=0)
    """Seed of weights, order and masks. Its own, so that fine-tunings with other seeds share the pretraining."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The glob patterns; none for the data source's own text."""
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus or ()

    def length(self) -> str:
        """How long it takes, in words."""
        if not self.enabled:
            return "none"
        return f"{self.max_steps} steps" if self.epochs is None else f"{self.epochs:g} epochs"

    def fingerprint(self, workspace: Path) -> str:
        """SHA-256 of these settings and the contents of the corpus' files."""
        files = shards.contents(shards.digests(shards.find(self.patterns), workspace)) if self.enabled else None
        return digest([self, files])
