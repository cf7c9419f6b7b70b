"""Where documents come from: the user's files, or the docstrings of installed packages, one after the other."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sluice.batch.blocks import Block
from sluice.batch.readers.formats import open_reader
from sluice.batch.settings import Predict
from sluice.data.sources import places, shards
from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.tabular import SUFFIXES
from sluice.errors import UserError
from sluice.part import digest
from sluice.search.settings import Index

WHOLE = (".md", ".markdown", ".txt", ".rst")
"""Files that are one document each."""
LARGEST = 1 << 26
"""Bytes of a file that is read whole."""
HEADING = re.compile(r"\s*# +(.+)")
Values = dict[str, Any]


@dataclass(frozen=True)
class Document:
    """One document."""

    id: str
    text: str
    title: str
    source: str
    """Its file as it was named, or the module."""
    line: int | None
    """The line of the file on which it begins (1-based, in Parquet the row); None for a whole file."""


@dataclass(frozen=True)
class Corpus:
    """Documents that are read from their beginning whenever they are asked for."""

    name: str
    digest: str
    """SHA-256 of what is read, places included."""
    read: Callable[[], Iterator[Document]]


def open_corpus(settings: Index, workspace: Path) -> Corpus:
    """The documents that the settings name. Raises UserError for files that are not there or not known."""
    if settings.corpus:
        return _files(settings, workspace)
    if not settings.packages:
        raise UserError("nothing to index: name files with index.corpus='notes/*.md', or packages with index.packages=")
    docs = ApiDocs(
        name="docs",
        topics=dict.fromkeys(settings.packages, "docs"),
        mask=False,
        max_characters=sys.maxsize,
        min_words=1,
    )
    with _own_options():
        return Corpus(
            f"docstrings of {len(settings.packages)} packages", docs.fingerprint(), partial(_docstrings, docs)
        )


def _docstrings(docs: ApiDocs) -> Iterator[Document]:
    for doc in docs.whole():
        module = doc.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        name = ".".join(part for part in (module, doc.name) if part)
        yield Document(f"{doc.file}:{doc.line}", doc.text, name, doc.file, doc.line)


def _files(settings: Index, workspace: Path) -> Corpus:
    found = [place for pattern in settings.corpus for place in places.expand(pattern, "index.corpus")]
    elsewhere = [place.name for place in found if place.system is not None]
    if elsewhere:
        raise UserError(f"{elsewhere[0]}: only files on this machine can be indexed. Copy it here first")
    paths = [Path(place.path) for place in {place.path: place for place in found}.values()]
    readers = {path: _reader(path, settings) for path in paths}
    contents = [[str(path), content] for path, content in shards.digests(paths, workspace).items()]
    name = paths[0].name if len(paths) == 1 else f"{len(paths):,} files"

    def read() -> Iterator[Document]:
        for path, reader in readers.items():
            with _own_options():
                yield from reader(path, settings)

    return Corpus(name, digest(contents), read)


def _reader(path: Path, settings: Index) -> Callable[[Path, Index], Iterator[Document]]:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in SUFFIXES:
        return _rows
    if suffix in WHOLE and path.suffix != ".gz":
        return _lines if settings.lines and suffix == ".txt" else _whole
    known = ", ".join([*WHOLE, *SUFFIXES])
    raise UserError(f"index.corpus: {path} is of no known kind, expected {known} (tables of text also as .gz)")


def _whole(path: Path, settings: Index) -> Iterator[Document]:
    size = path.stat().st_size
    if size > LARGEST:
        raise UserError(
            f"{path}: {size / 2**20:,.0f} MiB are too large for one document. Divide it, or take each line of .txt "
            "for a document: index.lines=true"
        )
    text = _decoded(path.read_bytes(), path, settings)
    heading = HEADING.match(text) if path.suffix.lower() in (".md", ".markdown") else None
    yield Document(str(path), text, heading[1].strip() if heading else "", str(path), None)


def _lines(path: Path, settings: Index) -> Iterator[Document]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = _decoded(line, f"{path}:{number}", settings).strip()
            yield Document(f"{path}:{number}", text, "", str(path), number)


def _decoded(content: bytes, place: Path | str, settings: Index) -> str:
    try:
        return content.decode(settings.encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(f"index.encoding={settings.encoding}: no such encoding. Common: utf-8, latin-1") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: {error.reason} at byte {error.start}. Name its encoding: index.encoding=cp1252"
        ) from error


def _rows(path: Path, settings: Index) -> Iterator[Document]:
    given = {"column": settings.column, "encoding": settings.encoding, "block_rows": 512}
    reader = open_reader(path, Predict(**given, delimiter=settings.delimiter, quoting=settings.quoting))
    for block in reader.blocks():
        for row, text, line in zip(_records(block, settings), block.texts, block.lines, strict=True):
            place = f"{path}:{line}"
            name = _named(row, settings.id, "id", place)
            yield Document(name or place, text, _named(row, settings.title, "title", place), str(path), line)


def _records(block: Block, settings: Index) -> list[Values]:
    """The rows with the columns that name something; others may be large."""
    if isinstance(block.rows, list):
        return block.rows
    wanted = {settings.id or "id", settings.title or "title"}
    table = block.rows.rename_columns([name.strip() for name in block.rows.column_names])
    return list(table.select([name for name in table.column_names if name in wanted]).to_pylist()) or [
        {} for _ in block.lines
    ]


def _named(row: Values, asked: str | None, usual: str, place: str) -> str:
    """A cell as text, '' where there is none. Raises UserError where the column was asked for and is not there."""
    if asked is not None and asked not in row:
        raise UserError(f"{place}: no column '{asked}'; found: {', '.join(row) or 'none'}. See index.{usual}")
    value = row.get(asked or usual)
    return "" if value is None else " ".join(str(value).split())


@contextmanager
def _own_options() -> Iterator[None]:
    """Let errors of readers that others use too name the options of this command."""
    try:
        yield
    except UserError as error:
        text = re.sub(r"(?:data\.columns\.text|predict\.column)=", "index.column=", str(error))
        text = text.replace("data.topics", "index.packages").replace(
            "conf/data/apidocs.yaml", "conf/index/default.yaml"
        )
        raise UserError(re.sub(r"(?:data|predict)\.(encoding|delimiter|quoting)=", r"index.\1=", text)) from error
