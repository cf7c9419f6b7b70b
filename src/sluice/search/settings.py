"""`Index` and `Search`: which documents are made searchable, how, and how they are asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from sluice.part import Part


class Index(Part):
    """Settings of `make index`. All of them enter the key of what it builds."""

    corpus: tuple[str, ...] = ()
    """Files and globs; none takes the docstrings of `packages`."""
    packages: tuple[str, ...] = ()
    """Installed packages whose docstrings are read."""
    column: str = Field("text", min_length=1)
    """The column with the texts, in JSONL, Parquet, CSV and TSV."""
    id: str | None = Field(None, min_length=1)
    """The column that names a document; null: `id` where a file has it, else file and line."""
    title: str | None = Field(None, min_length=1)
    """The column with the titles; null: `title` where a file has it."""
    lines: bool = False
    """Whether each line of a .txt file is a document of its own."""
    encoding: str = "utf-8"
    """Of text files."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """Between fields; null: a comma in CSV, a tab in TSV."""
    quoting: Literal["standard", "none"] = "standard"
    """none: a quote is a character like any other."""
    words: int = Field(100, ge=4)
    """Longest passage in words; what a model does not read of it cannot be found."""
    overlap: int = Field(20, ge=0)
    """Most words that a passage repeats of the one before."""
    block: int = Field(4096, ge=1)
    """Passages embedded at once, sorted by length, and committed as one: at most so many are lost by a kill."""
    ann_from: int = Field(50_000, ge=256)
    """Passages from which an approximate index is built; below, every search is exact."""
    recall: float = Field(0.98, gt=0, le=1)
    """Least recall@10 of the approximate index against exact search: more of it is looked through until then."""

    @field_validator("corpus", mode="before")
    @classmethod
    def _listed(cls, corpus: object) -> object:
        return (corpus,) if isinstance(corpus, str) else corpus or ()

    @model_validator(mode="after")
    def _fits(self) -> Index:
        if self.overlap * 2 > self.words:
            raise ValueError(f"overlap {self.overlap} is more than half of words {self.words}: index.overlap=0")
        return self


class Search(Part):
    """Settings of `make search`."""

    k: int = Field(10, ge=1, le=1000)
    """Hits, where nobody asks for another number."""


class Ask(Part):
    """Settings of `make ask`."""

    model: str = "apichat"
    """The registered model that writes: its champion."""
    passages: int = Field(2, ge=1, le=20)
    """Passages that it is given; as many as it learnt to read."""
    passage_words: int = Field(60, ge=5)
    """Words of each, at most."""
