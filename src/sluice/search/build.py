"""The build of an index: what is new is embedded and committed block by block, what is gone is taken out at the end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.errors import UserError
from sluice.search.documents import Corpus, Document
from sluice.search.passages import cut
from sluice.search.recall import approximate
from sluice.search.settings import Index
from sluice.search.store import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Embed = Callable[[Sequence[str]], "npt.NDArray[np.float32]"]
"""Texts -> one vector of length 1 a text, (texts, width)."""


@dataclass(frozen=True)
class Piece:
    """A passage on its way into the table."""

    key: int
    """Names the row: digest of everything that it shows."""
    content: int
    """Names the vector: digest of what is embedded."""
    id: str
    title: str
    text: str
    source: str

    @property
    def embedded(self) -> str:
        """What the model reads: the title before the text, where the text does not begin with it."""
        return embedded(self.title, self.text)


def embedded(title: str, text: str) -> str:
    """A passage as a model reads it."""
    return f"{title}\n{text}" if title and not text.startswith(title) else text


@dataclass
class Tally:
    """What a build came across."""

    documents: int = 0
    empty: int = 0
    """Documents without a word, which cannot be found."""
    passages: int = 0
    embedded: int = 0
    """Texts that went through the model."""
    removed: int = 0
    """Documents that were there before and are no more."""
    ids: set[int] = field(default_factory=set)


def build(folder: Path, corpus: Corpus, embed: Embed, settings: Index) -> dict[str, Any]:
    """Bring the table in `folder` to what the corpus is now, from whatever it holds. Returns the record.

    Called again after a kill it goes on: what was committed is not embedded again.
    """
    table, tally = Table(folder), Tally()
    start = time.perf_counter()
    before, contents, seen = set(table.keys().tolist()), table.contents(), set[int]()
    with _Progress(tally) as progress:
        for block in _blocks(_pieces(corpus, settings, tally), settings.block):
            fresh = [piece for piece in block if piece.key not in before]
            seen |= {piece.key for piece in block} & before
            if fresh:
                _add(table, fresh, contents, embed, tally)
            progress.show()
    if not tally.passages:
        raise UserError(f"{corpus.name}: no document with any text, {tally.empty:,} empty ones")
    gone = sorted(before - seen)
    tally.removed = len({name for name in map(_number, table.ids(gone)) if name not in tally.ids})
    table.remove(gone)
    table.tidy()
    found = approximate(table, settings)
    seconds = time.perf_counter() - start
    return {
        **{name: getattr(tally, name) for name in ("documents", "empty", "passages", "embedded", "removed")},
        **found,
        "documents_per_second": tally.documents / seconds,
        "embedded_per_second": tally.embedded / seconds,
        "seconds": seconds,
    }


def _pieces(corpus: Corpus, settings: Index, tally: Tally) -> Iterator[Piece]:
    """The passages of all documents. Raises UserError for two documents of one name."""
    for document in corpus.read():
        name = _number(document.id)
        if name in tally.ids:
            raise UserError(
                f"{document.source}:{document.line}: another document has the id '{document.id}' already. "
                "Ids must differ; a column that is none of the file is left out of it with index.id=<another column>"
            )
        tally.ids.add(name)
        tally.documents += 1
        found = cut(document.text, settings.words, settings.overlap)
        tally.empty += not found
        tally.passages += len(found)
        for passage in found:
            source = _source(document, passage.start)
            shown = (document.id, document.title, passage.text, source, str(passage.start))
            read = embedded(document.title, passage.text)
            yield Piece(_number(*shown), _number(read), document.id, document.title, passage.text, source)


def _source(document: Document, start: int) -> str:
    """`file:line`: of a row the row's own, in a whole file that of the passage."""
    return f"{document.source}:{document.line or document.text.count(chr(10), 0, start) + 1}"


def _number(*parts: str) -> int:
    """A digest that fits a column of whole numbers."""
    hashed = hashlib.blake2b("\0".join(parts).encode(), digest_size=8)
    return int.from_bytes(hashed.digest(), signed=True)


def _blocks(pieces: Iterator[Piece], size: int) -> Iterator[list[Piece]]:
    block: list[Piece] = []
    for piece in pieces:
        block.append(piece)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _add(table: Table, pieces: list[Piece], contents: set[int], embed: Embed, tally: Tally) -> None:
    """Embed what has no vector yet and commit the rows."""
    import numpy as np

    known = [piece.content for piece in pieces if piece.content in contents]
    vectors = table.vectors("content", sorted(set(known))) if known else {}
    new = {piece.content: piece.embedded for piece in pieces if piece.content not in vectors}
    if new:
        vectors |= dict(zip(new, embed(list(new.values())), strict=True))
        tally.embedded += len(new)
    columns = {name: [getattr(piece, name) for piece in pieces] for name in Piece.__dataclass_fields__}
    table.add(columns, np.stack([vectors[piece.content] for piece in pieces]).astype(np.float32))
    contents.update(new)


class _Progress:
    """A line with documents, passages and the rate: how many there will be is not known before the end."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def __enter__(self) -> _Progress:
        from tqdm import tqdm

        self.bar = tqdm(unit=" documents", unit_scale=False, mininterval=0.5)
        return self

    def show(self) -> None:
        """A block is done."""
        self.bar.set_postfix_str(f"{self.tally.passages:,} passages, {self.tally.embedded:,} embedded", refresh=False)
        self.bar.update(self.tally.documents - self.bar.n)

    def __exit__(self, *_: object) -> None:
        self.bar.close()
