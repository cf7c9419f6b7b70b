"""Unlabelled text to pretrain on, without the texts that a model will be validated and tested on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial, singledispatch
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.data.prepare import ROW, load
from sluice.data.rows import row_hashes
from sluice.data.source import GROUP, Source
from sluice.data.sources import shards
from sluice.data.sources.apichat import ApiChat
from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.apinames import ApiNames
from sluice.data.sources.apisummaries import ApiSummaries
from sluice.data.split import TEST, TRAIN, VALIDATION, assign
from sluice.part import digest
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Hashes = npt.NDArray[np.uint64]

OPENING = 400
"""Characters. Docstrings that begin with the same ones count as the same text: labelled rows are cut there."""
BLOCK = 1000
"""Documents that are in hand at a time."""

Counts = Counter[str]
"""How many documents were left out, by reason."""


@dataclass(frozen=True)
class Corpus:
    """Documents in shards, each of which is read from its beginning whenever it is asked for."""

    digest: str
    """SHA-256 of what is read and of what is left out."""
    shards: Sequence[Callable[[Counts], Iterator[str]]]
    """Reads the documents of one shard, and counts those that it leaves out."""


def from_files(patterns: Sequence[str], column: str, prepared: Path, workspace: Path) -> Corpus:
    """Your own files, without the documents that equal a validation or test row of the prepared rows.

    Equal is equal in normal form. Which rows those are enters the digest; their labels do not.
    """
    import numpy as np

    paths = shards.find(patterns)
    found = shards.digests(paths, workspace)
    rows = load(prepared)
    names = sorted({name for side in (VALIDATION, TEST) for name in rows[side][ROW]})
    held_out = np.array([int(name, 16) for name in names], np.uint64)
    # By content, so that what the files are called does not decide the order in which they are read.
    ordered = sorted(paths, key=lambda path: (found[path], path))
    return Corpus(
        digest=digest([shards.contents(found), column, names]),
        shards=[partial(_filtered, partial(shards.documents, path, column), held_out) for path in ordered],
    )


@singledispatch
def own(source: Source, prepared: Path, task: Task) -> Corpus:
    """The unlabelled text of a data source: of any but those registered below, the texts of the training rows."""
    import numpy as np

    texts = list(task.texts(load(prepared)[TRAIN].to_dict()))
    return Corpus(digest=digest(texts), shards=[partial(_filtered, lambda: texts, np.empty(0, np.uint64))])


@own.register(ApiNames)
@own.register(ApiSummaries)
@own.register(ApiChat)
def _(source: ApiNames | ApiSummaries | ApiChat, prepared: Path, task: Task) -> Corpus:
    """All docstrings, so that tasks on them share one pretraining."""
    return own(source.docs.model_copy(update={"split": source.split}), prepared, task)


@own.register
def _(source: ApiDocs, prepared: Path, task: Task) -> Corpus:
    """All docstrings in full length, short ones too, but those of files on the validation and test sides.

    Names are masked as in the labelled rows. Lengths and caps of those do not count: all such variants share it.
    """
    whole = ApiDocs(
        name="corpus",
        topics=source.topics,
        aliases=source.aliases,
        mask=source.mask,
        split=source.split,
        max_characters=sys.maxsize,
        min_words=1,
    )
    kept = cache(partial(_docstrings, whole))

    def read(left_out: Counts) -> Iterator[str]:
        texts, counts = kept()
        left_out.update(counts)
        yield from texts

    return Corpus(digest=whole.fingerprint(), shards=[read])


def _docstrings(source: ApiDocs) -> tuple[list[str], Counts]:
    """Each text of the training side once, in the order of hashes; no text that a held-out file has too."""
    import numpy as np

    table = source.read({"text": "text", "label": "text"})
    texts, groups = table.column("text").to_pylist(), table.column(GROUP).to_pylist()
    training = np.array(assign(groups, [None] * len(groups), source.split)) == TRAIN
    openings = row_hashes(text[:OPENING] for text in texts)
    leaking = training & np.isin(openings, openings[~training])
    kept = np.flatnonzero(training & ~leaking)
    _, first = np.unique(row_hashes(texts[at] for at in kept.tolist()), return_index=True)
    counts = {
        "held_out_file": int((~training).sum()),
        "held_out_text": int(leaking.sum()),
        "duplicate": len(kept) - len(first),
    }
    return [texts[at] for at in kept[first].tolist()], Counter(counts)


def _filtered(read: Callable[[], Iterable[str]], held_out: Hashes, left_out: Counts) -> Iterator[str]:
    """Documents, but for empty ones, those that are not text, and those held out."""
    import numpy as np

    documents = iter(read())
    while block := list(islice(documents, BLOCK)):
        texts = [text for text in block if text.strip()]
        whole = [text for text in texts if _is_text(text)]
        out = np.isin(row_hashes(whole), held_out).tolist()
        yield from (text for text, held in zip(whole, out, strict=True) if not held)
        left_out.update(empty=len(block) - len(texts), broken=len(texts) - len(whole), held_out_text=sum(out))


def _is_text(text: str) -> bool:
    """Whether it holds no half of a surrogate pair, which JSON can write and no tokenizer can read."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
