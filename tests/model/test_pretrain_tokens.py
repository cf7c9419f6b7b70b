"""A corpus as token files: each document once, in an order that follows from the seed, in little memory."""

import json
import random
import tracemalloc
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sluice.data.sources.corpus import Corpus
from tests.model.pretraining import LENGTH, SPEC, TEXTS, listed


def test_every_sequence_comes_once_a_pass_in_an_order_that_follows_from_the_seed(monkeypatch: pytest.MonkeyPatch):
    from sluice.training.pretraining import tokens as pretrain_tokens
    from sluice.training.pretraining.tokens import Order

    monkeypatch.setattr(pretrain_tokens, "CHUNK", 10)
    order = list(Order(37, 100, seed=1))
    assert len(order) == 100
    assert sorted(order[:37]) == sorted(order[37:74]) == list(range(37))
    assert order[:37] != order[37:74]
    assert order == list(Order(37, 100, seed=1))
    assert order != list(Order(37, 100, seed=2))
    assert [len({place // 10 for place in order[start : start + 7]}) for start in (0, 37)] <= [2, 2]


def test_a_sample_is_even_and_bounded():
    from sluice.training.pretraining.tokens import sample

    corpus = listed([f"a{n:05d}" for n in range(5000)], [f"b{n:05d}" for n in range(5000)])
    drawn = list(sample(corpus, 6000, seed=0))
    assert 500 <= len(drawn) <= 1000
    shards = Counter(text[0] for text in drawn)
    assert 0.35 < shards["a"] / len(drawn) < 0.65
    assert drawn == list(sample(corpus, 6000, seed=0))
    assert sorted(sample(corpus, 1_000_000, seed=0)) == [text for read in corpus.shards for text in read(Counter())]


def test_all_documents_are_in_the_tokens_once_and_in_another_order(tmp_path: Path):
    from sluice.training.pretraining.tokens import HELD, TRAIN, tokenize

    tokenizer = SPEC.tokenizer(TEXTS, LENGTH)
    tokens = tokenize(listed(TEXTS[:150], TEXTS[150:]), tokenizer, tmp_path, buffer=50, seed=0)
    parts = [tokenizer.decode(np.fromfile(tmp_path / name, tokens.kind)).split("</s>") for name in (TRAIN, HELD)]
    train, held_out = [[text.removeprefix("<s>").strip() for text in part if text] for part in parts]
    assert sorted(train + held_out) == sorted(TEXTS)
    assert train != [text for text in TEXTS if text in train]
    assert 5 < len(held_out) < 60
    documents = tokens.some_documents(10_000, tokenizer.sep_token_id)
    assert [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in documents] == train


def test_finished_shards_are_not_read_again(tmp_path: Path):
    from sluice.training.pretraining.tokens import TRAIN, tokenize

    class Cut(Exception):
        pass

    read: list[int] = []

    def shard(number: int, broken: bool):
        def documents(left_out: Counter[str]):
            read.append(number)
            left_out["empty"] += 1
            yield from TEXTS[number * 60 : number * 60 + 50]
            if broken:
                raise Cut
            yield from TEXTS[number * 60 + 50 : number * 60 + 60]

        return documents

    tokenizer = SPEC.tokenizer(TEXTS, LENGTH)
    cut = Corpus("x", [shard(number, broken=number == 2) for number in range(4)])
    with pytest.raises(Cut):
        tokenize(cut, tokenizer, tmp_path / "cut", buffer=20, seed=0)
    whole = Corpus("x", [shard(number, broken=False) for number in range(4)])
    resumed = tokenize(whole, tokenizer, tmp_path / "cut", buffer=20, seed=0)
    assert read == [0, 1, 2, 2, 3]
    assert resumed.left_out == {"empty": 4}
    tokenize(whole, tokenizer, tmp_path / "whole", buffer=20, seed=0)
    assert (tmp_path / "cut" / TRAIN).read_bytes() == (tmp_path / "whole" / TRAIN).read_bytes()


def test_memory_stays_flat_on_a_corpus_much_larger_than_the_buffer(tmp_path: Path):
    from sluice.data.sources import shards
    from sluice.data.sources.corpus import _filtered
    from sluice.training.pretraining.tokens import TRAIN, Order, sample, tokenize

    tokenizer = SPEC.tokenizer(TEXTS, LENGTH)

    def peak(documents: int) -> int:
        rng, file = random.Random(0), tmp_path / f"{documents}.jsonl"
        with file.open("w") as lines:
            for _ in range(documents):
                lines.write(json.dumps({"text": " ".join(rng.choices(TEXTS, k=5))}) + "\n")
        shard = partial(_filtered, partial(shards.documents, file, "text"), np.empty(0, np.uint64))
        large = Corpus("large", [shard])
        tracemalloc.start()
        characters = sum(map(len, sample(large, 50_000, seed=0)))
        tokens = tokenize(large, tokenizer, tmp_path / str(documents), buffer=100, seed=0)
        sequences = tokens.sequences(TRAIN, LENGTH)
        drawn = [int(sequences[place].sum()) for place in islice(Order(len(sequences), 10**9, seed=0), 500)]
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 20_000 < characters <= 50_000
        assert len(drawn) == 500
        assert len(sequences) > documents
        return most

    few, many = peak(4000), peak(20_000)
    assert many < 1.1 * few, f"{few:,} bytes for 4,000 documents, {many:,} for 20,000"
