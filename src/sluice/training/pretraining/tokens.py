"""A corpus as token files on disk: written once, shard by shard, then read by position without loading them."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from sluice.data.sources.corpus import Corpus
from sluice.errors import UserError
from sluice.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = npt.NDArray[np.unsignedinteger[Any]]
BLOCK = 500
"""Documents that are tokenized at a time."""
HELD_SHARE, HELD_TOKENS = 0.1, 65_536
"""Share of the documents that is held out for measuring, until they have that many tokens."""
CHUNK = 65_536
"""Neighbouring sequences that are drawn from in random order before the next ones are."""
TRAIN, HELD = "train.bin", "held_out.bin"


@dataclass(frozen=True)
class Tokens:
    """Tokens to learn from and tokens to measure on, on disk."""

    folder: Path
    kind: str
    """numpy's name of the integer type."""
    documents: int
    left_out: dict[str, int]
    """Documents, by reason."""

    def sequences(self, name: str, length: int) -> Ids:
        """Consecutive sequences of `length` tokens, shape (sequences, length), mapped from the file."""
        file = self.folder / name
        count = file.stat().st_size // np.dtype(self.kind).itemsize // length
        if not count:
            raise UserError(
                f"pretraining: the corpus has less than one sequence of {length} tokens "
                f"{'to learn from' if name == TRAIN else 'to hold out'} ({self.documents} documents). "
                "Give more text: pretrain.corpus=..., or do without: pretrain=none"
            )
        return np.memmap(file, self.kind, "r", shape=(count, length))

    def some_documents(self, limit: int, end: int) -> list[list[int]]:
        """The documents within the first `limit` tokens; each ends with the token `end`."""
        start = np.fromfile(self.folder / TRAIN, self.kind, limit)
        parts = np.split(start, np.flatnonzero(start == end) + 1)
        return [part.tolist() for part in parts if len(part)]


class Order(Sampler[int]):
    """Which sequence comes when: follows from seed and position alone, pass after pass, in little memory."""

    def __init__(self, sequences: int, draws: int, seed: int) -> None:
        self.sequences = sequences
        self.draws = draws
        self.seed = seed

    def __len__(self) -> int:
        return self.draws

    def __iter__(self) -> Iterator[int]:
        passes = chain.from_iterable(self._pass(number) for number in range(self.draws // self.sequences + 1))
        return islice(passes, self.draws)

    def _pass(self, number: int) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, number])
        for start in rng.permutation(np.arange(0, self.sequences, CHUNK)).tolist():
            yield from (start + rng.permutation(min(CHUNK, self.sequences - start))).tolist()


def sample(corpus: Corpus, characters: int, seed: int) -> Iterator[str]:
    """Documents drawn evenly from the whole corpus, with at most that many characters together.

    Each document draws a number; the bar that it has to stay under is halved whenever too much has been collected.
    """
    rng, bar, total = random.Random(seed), 1.0, 0
    kept: list[tuple[float, str]] = []
    for document in chain.from_iterable(read(Counter()) for read in corpus.shards):
        drawn = rng.random()
        if drawn >= bar:
            continue
        kept.append((drawn, document[:characters]))
        total += len(kept[-1][1])
        while total > characters:
            bar /= 2
            kept = [(drawn, text) for drawn, text in kept if drawn < bar]
            total = sum(len(text) for _, text in kept)
    return (text for _, text in kept)


def end_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that stands after each document."""
    found: int = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    return found


def tokenize(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, folder: Path, *, buffer: int, seed: int) -> Tokens:
    """Fill `folder` with the corpus' tokens; shards that an earlier, killed call finished are not read again."""
    kind = "uint16" if len(tokenizer) <= 1 << 16 else "uint32"
    done = folder / "tokens.json"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        parts = [folder / f"shard-{number:05d}" for number in range(len(corpus.shards))]
        for number, (read, part) in enumerate(zip(corpus.shards, parts, strict=True)):
            if not part.exists():
                left_out: Counter[str] = Counter()
                documents = _shuffled(read(left_out), buffer, random.Random(f"{seed}:{number}"))
                _write_shard(documents, tokenizer, part, kind, HELD_TOKENS // len(parts), left_out)
        random.Random(seed).shuffle(parts)
        for name in (TRAIN, HELD):
            _join([part / name for part in parts], folder / name)
        records = [json.loads((part / "record.json").read_text()) for part in parts]
        counts: Counter[str] = Counter()
        for record in records:
            counts.update(record["left_out"])
        write_json(done, {"documents": sum(record["documents"] for record in records), "left_out": counts})
        for part in parts:
            shutil.rmtree(part)
    return Tokens(folder, kind, **json.loads(done.read_text()))


def _write_shard(
    documents: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    part: Path,
    kind: str,
    held_tokens: int,
    left_out: Counter[str],
) -> None:
    """A shard's tokens in a folder that appears when it is whole.

    Documents follow each other without padding, as the tokenizer marks them: `<s> ... </s>`. Attention runs across
    those marks. A token may look at neighbours that have nothing to do with it, which models learn to leave alone;
    in exchange every position of every sequence is text, all sequences have one shape, and attention needs no mask.
    """
    temporary = part.with_name(f".{part.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    rng, waiting, held_so_far, count = random.Random(part.name), iter(documents), 0, 0
    end = end_of(tokenizer)
    with (temporary / TRAIN).open("wb") as train, (temporary / HELD).open("wb") as held:
        while block := list(islice(waiting, BLOCK)):
            encoded = tokenizer(block, return_attention_mask=False, return_token_type_ids=False, verbose=False)
            count += len(block)
            for marked in encoded["input_ids"]:
                ids = marked if marked[-1:] == [end] else [*marked, end]
                out = held_so_far < held_tokens and rng.random() < HELD_SHARE
                held_so_far += len(ids) * out
                np.array(ids, kind).tofile(held if out else train)
    write_json(temporary / "record.json", {"documents": count, "left_out": left_out})
    temporary.rename(part)


def _shuffled(documents: Iterable[str], buffer: int, rng: random.Random) -> Iterator[str]:
    """Documents in an order that is random within a window: one goes out for each that comes in."""
    waiting: list[str] = []
    for document in documents:
        if len(waiting) < buffer:
            waiting.append(document)
            continue
        place = rng.randrange(buffer)
        out, waiting[place] = waiting[place], document
        yield out
    rng.shuffle(waiting)
    yield from waiting


def _join(parts: Sequence[Path], whole: Path) -> None:
    temporary = whole.with_suffix(".partial")
    with temporary.open("wb") as target:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    temporary.rename(whole)
