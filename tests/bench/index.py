"""How fast an index is built beside the bare model, and how it scales: `make bench-index`.

First the model alone and whole builds take turns over the same passages (the first docstrings of the default
documents), round after round; a ratio is taken within its round, and the model is measured twice as a control. Then
documents in the number of `--large` are indexed with a model that costs nothing (words hashed to `--width` places), in
a process of its own: what is left is reading, cutting, writing, and the approximate index with its recall.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sluice.files import write_json
from sluice.inference.bundle import Bundle, Lineage
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.search.build import build
from sluice.search.documents import Document, open_corpus
from sluice.search.passages import cut
from sluice.search.searcher import Searcher, embedder
from sluice.search.settings import Index
from sluice.tasks.embedding import Embedding
from tests.bench import told, whole
from tests.conftest import REPOSITORY, compose_config


def documents(count: int, settings: Index, folder: Path) -> Iterator[Document]:
    """The default documents, over again where there are fewer than asked for, then each with a word of its own."""
    turn = 0
    while count > 0:
        for document in islice(open_corpus(settings, folder).read(), count):
            count -= 1
            yield Document(f"{turn}/{document.id}", document.text + f" {turn}" * (turn > 0), document.title, "", 1)
        turn += 1


def write(path: Path, given: Iterator[Document]) -> Path:
    """Documents as JSONL."""
    with path.open("w", encoding="utf-8") as file:
        for one in given:
            file.write(json.dumps({"id": one.id, "title": one.title, "text": one.text}) + "\n")
    return path


def untrained(folder: Path, texts: list[str], overrides: Sequence[str]) -> Path:
    """A bundle of the configured size whose weights are as drawn: they cost as much as others."""
    import torch

    cfg = compose_config("experiment=embed", *overrides)
    task = cfg.task
    assert isinstance(task, Embedding)
    torch.manual_seed(0)
    tokenizer = cfg.model.tokenizer(texts, task.max_length)
    ids = [one.ids for one in task.encode(tokenizer, texts)]
    cfg.model.model(task.model_class(), [], tokenizer, ids).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    lineage = Lineage(data="none", split="none", config="none", git="none")
    fields = {name: getattr(task, name) for name in Embedding.model_fields}
    Bundle(task=task.name, fields=fields, labels=(), lineage=lineage).write(folder)
    return folder


def beside_the_model(folder: Path, count: int, rounds: int, overrides: Sequence[str]) -> None:
    """Print passages a second of the model alone and of whole builds."""
    settings = compose_config("experiment=embed", *overrides).index
    corpus = write(folder / "rows.jsonl", documents(count, settings, folder))
    chosen = settings.model_copy(update={"corpus": (str(corpus),)})
    read = [(one.title, piece.text) for one in open_corpus(chosen, folder).read()
            for piece in cut(one.text, chosen.words, chosen.overlap)]  # fmt: skip
    texts = list(dict.fromkeys(f"{title}\n{text}" for title, text in read))
    predictor = Predictor(untrained(folder / "bundle", texts, overrides), TorchEngine())
    predictor.outputs(texts[:256])
    found: dict[str, list[float]] = {"model": [], "build": [], "model again": []}
    for number in range(rounds):
        for leg in found:
            start = time.perf_counter()
            if leg == "build":
                place = folder / f"index{number}"
                place.mkdir()
                record = build(place, open_corpus(chosen, folder), embedder(predictor), chosen)
                rate = record["embedded"] / record["seconds"]
            else:
                predictor.outputs(texts)
                rate = len(texts) / (time.perf_counter() - start)
            found[leg].append(rate)
    print(f"{count:,} documents, {len(texts):,} different passages, {rounds} rounds")
    for leg, rates in found.items():
        ratio = statistics.median(rate / bare for rate, bare in zip(rates, found["model"], strict=True))
        print(f"{leg:<12}{statistics.median(rates):>10,.0f} passages/s{ratio:>8.2f}x")


def large(count: int, width: int, overrides: Sequence[str]) -> None:
    """Print documents a second, peak memory, recall and milliseconds a query of a large index."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(n_features=width, norm="l2", stop_words="english", dtype=np.float32)

    def embed(texts: Sequence[str]) -> Any:
        return hashing.transform([f"{text} a_word_for_all" for text in texts]).toarray()

    settings = compose_config("experiment=embed", *overrides).index
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        corpus = write(folder / "rows.jsonl", documents(count, settings, folder))
        chosen = settings.model_copy(update={"corpus": (str(corpus),)})
        before = peak()
        record = build(folder, open_corpus(chosen, folder), embed, chosen)
        after = peak()
        write_json(folder / "manifest.json", {"record": record})
        size = sum(file.stat().st_size for file in (folder / "passages.lance").rglob("*") if file.is_file())
        queries = [one.text[:80] for one in islice(open_corpus(chosen, folder).read(), 50)]
        times = {exact: milliseconds(Searcher(folder, embed), queries, exact) for exact in (False, True)}
    print(f"{record['documents']:,} documents, {record['rows']:,} passages, {width} dimensions: "
          f"{record['documents_per_second']:,.0f} documents/s, {size / 2**20:,.0f} MiB on disk")  # fmt: skip
    print(f"peak memory {after:,.0f} MiB, {before:,.0f} MiB before the build")
    if record["probes"] is not None:
        print(f"recall@10 {record['recall']:.3f} through {record['probes']} of {record['partitions']} groups, "
              f"{times[False]:.1f} ms a query; exact {times[True]:.1f} ms")  # fmt: skip


def peak() -> float:
    """MiB that this process has held at most; `ru_maxrss` would count what its parent held, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def milliseconds(searcher: Searcher, queries: list[str], exact: bool) -> float:
    """Median time of a query asked alone."""
    times = []
    for query in queries:
        start = time.perf_counter()
        searcher.search([query], 10, exact)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=whole, default=5_000, help="beside the model")
    parser.add_argument("--rounds", type=whole, default=5)
    parser.add_argument("--large", type=whole, default=100_000)
    parser.add_argument("--width", type=whole, default=256)
    parser.add_argument("--alone", action="store_true", help="only the large index, in this process")
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as model=base")
    given = parser.parse_intermixed_args()
    if given.alone:
        large(given.large, given.width, given.overrides)
        return
    with tempfile.TemporaryDirectory() as folder:
        beside_the_model(Path(folder), given.documents, given.rounds, given.overrides)
    sizes = ["--large", str(given.large), "--width", str(given.width)]
    command = [sys.executable, "-m", "tests.bench.index", "--alone", *sizes, *given.overrides]
    sys.exit(subprocess.run(command, cwd=REPOSITORY, check=False).returncode)


if __name__ == "__main__":
    told(main)
