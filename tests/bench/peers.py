"""How fast other tasks learn beside the scripts that people start from: `make bench-train ARGS="--task chat"`.

The same model and rows of the default data, in turns, round after round; a ratio is taken within its round. Time
is that of the steps alone, scaled to all rows.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

from pipelines import preprocess
from pipelines.shared.session import Session
from sluice.data.prepare import load
from sluice.models.decoder import Decoder
from sluice.models.encoder import Encoder
from sluice.models.encoder_decoder import EncoderDecoder
from sluice.models.spec import ModelSpec
from sluice.tasks.chat import Chat
from sluice.tasks.embedding import Embedding
from sluice.tasks.generation import CausalLM
from sluice.tasks.seq2seq import Summarization
from sluice.tasks.task import Task
from sluice.training.loss import loss_of
from sluice.training.precision import resolve_precision
from sluice.training.rows import Rows
from sluice.training.settings import Train
from sluice.training.trainer import make_trainer
from tests.bench.clock import Clock
from tests.conftest import compose_config

WIDTH = {"hidden": 384, "heads": 6}
DECODER = Decoder(vocabulary=8000, layers=6, key_value_heads=6, feed_forward=1024, **WIDTH)
BLOCK = 128


Peer = Callable[["Bench", Any, Rows, int, Path], Trainer]


@dataclass(frozen=True)
class Kind:
    """A task, the model that both sides train, and how the others train it."""

    task: Task
    experiment: str
    spec: ModelSpec
    batch: int
    peer: Peer
    named: str


class Bench:
    """The rows, encoded, and the two ways to learn from them."""

    def __init__(self, kind: Kind, root: str, count: int) -> None:
        self.kind = kind
        with Session(compose_config(f"root={root}", f"experiment={kind.experiment}")) as session:
            folder = preprocess.run(session).folder
        rows = load(folder)["train"].shuffle(seed=0)
        self.columns = rows.select(range(count)).to_dict()
        self.tokenizer = kind.spec.tokenizer(kind.task.corpus(rows.select(range(5000)).to_dict()), kind.task.max_length)
        self.rows = Rows.of(kind.task, self.tokenizer, self.columns, [])

    def model(self, seed: int) -> Any:
        """New weights."""
        set_seed(seed)
        return self.kind.spec.model(self.kind.task.model_class(), [], self.tokenizer, self.rows.ids)

    def seconds(self, leg: str, rows: Rows, seed: int) -> float:
        """One pass over the rows."""
        clock, model = Clock(), self.model(seed)
        with tempfile.TemporaryDirectory() as folder:
            if leg == "sluice":
                trainer = self.ours(model, rows, seed, Path(folder))
            else:
                trainer = self.kind.peer(self, model, rows, seed, Path(folder))
            trainer.callback_handler.callbacks = [*trainer.callback_handler.callbacks[:1], clock]  # no progress bars
            trainer.train()
        return clock.seconds()

    def ours(self, model: Any, rows: Rows, seed: int, folder: Path) -> Trainer:
        """As `make train` does."""
        settings = Train(
            epochs=1, batch_size=self.kind.batch, learning_rate=5e-4, weight_decay=0.0, label_smoothing=0.0,
            token_dropout=0.0, warmup=0.0, evaluations=1, checkpoints=1,
        )  # fmt: skip
        trainer = make_trainer(
            model, self.tokenizer, self.kind.task, rows, rows.take(range(32)), settings, measure=lambda p: {},
            loss=loss_of(self.kind.task, settings, rows.targets, 2), seed=seed, folder=folder,
            log=lambda values, step: None,
        )  # fmt: skip
        trainer.args.save_strategy, trainer.args.eval_strategy = "no", "no"
        return trainer


def plain(seed: int, folder: Path, batch: int, kind: type[TrainingArguments] = TrainingArguments, **own: Any) -> Any:
    """What the scripts' arguments are beside what they name: float32, no grouping."""
    return kind(
        output_dir=str(folder), num_train_epochs=1, per_device_train_batch_size=batch, learning_rate=5e-4,
        use_cpu=not torch.cuda.is_available(), save_strategy="no", report_to="none", disable_tqdm=True, seed=seed,
        dataloader_pin_memory=False, logging_strategy="no", **own,
    )  # fmt: skip


def run_clm(bench: Bench, model: Any, rows: Rows, seed: int, folder: Path) -> Trainer:
    """All texts as one, cut into blocks that are labels, too; as many tokens a step as ours has on average."""
    import datasets

    joined = [token for row in rows.ids for token in row]
    blocks = [joined[at : at + BLOCK] for at in range(0, len(joined) - BLOCK + 1, BLOCK)]
    batch = max(1, round(len(blocks) * bench.kind.batch / len(rows.ids)))
    data = datasets.Dataset.from_dict({"input_ids": blocks, "labels": blocks})
    arguments = plain(seed, folder, batch)
    return Trainer(model=model, args=arguments, train_dataset=data, data_collator=default_data_collator)


def padded_chat(bench: Bench, model: Any, rows: Rows, seed: int, folder: Path) -> Trainer:
    """Rows of prompt and answer padded to the longest of their batch, prompts without labels."""
    collator = DataCollatorForSeq2Seq(bench.tokenizer, padding=True)
    return Trainer(
        model=model, args=plain(seed, folder, bench.kind.batch), train_dataset=rows.dataset(), data_collator=collator
    )


def run_summarization(bench: Bench, model: Any, rows: Rows, seed: int, folder: Path) -> Trainer:
    """Both texts padded to the longest of their batch."""
    collator = DataCollatorForSeq2Seq(bench.tokenizer, model=model)
    arguments = plain(seed, folder, bench.kind.batch, Seq2SeqTrainingArguments)
    return Seq2SeqTrainer(model=model, args=arguments, train_dataset=rows.dataset(), data_collator=collator)


def sentence_transformers(bench: Bench, model: Any, rows: Rows, seed: int, folder: Path) -> Trainer:
    """The trainer of the library, its loss with negatives from the batch, in the number format that ours takes."""
    import datasets
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    saved = folder / "model"
    model.save_pretrained(saved)
    bench.tokenizer.save_pretrained(saved)
    bench.kind.task.export(saved)
    opened = SentenceTransformer(str(saved), device="cuda" if torch.cuda.is_available() else "cpu")
    columns = {"anchor": bench.columns["query"], "positive": [cell.split("\n")[0] for cell in bench.columns["passage"]]}
    data = datasets.Dataset.from_dict({name: values[: len(rows.ids)] for name, values in columns.items()})
    precision = resolve_precision("auto")
    arguments = plain(seed, folder, bench.kind.batch, Arguments, bf16=precision == "bf16", fp16=precision == "fp16")
    loss = MultipleNegativesRankingLoss(opened)
    return SentenceTransformerTrainer(model=opened, args=arguments, train_dataset=data, loss=loss)


KINDS = {
    "causal_lm": Kind(CausalLM(max_length=BLOCK), "generate", DECODER, 32, run_clm, "run_clm's settings (packs, fp32)"),
    "chat": Kind(Chat(max_length=320), "chat", DECODER, 16, padded_chat, "padding, fp32"),
    "summarization": Kind(
        Summarization(max_length=160, max_new_tokens=32),
        "summarize",
        EncoderDecoder(vocabulary=8000, layers=6, decoder_layers=6, feed_forward=1024, **WIDTH),
        32,
        run_summarization,
        "run_summarization's settings (fp32)",
    ),
    "embedding": Kind(
        Embedding(max_length=128),
        "embed",
        Encoder(vocabulary=8000, layers=6, feed_forward=1024, **WIDTH),
        32,
        sentence_transformers,
        "sentence-transformers' trainer, same precision",
    ),
}


def compare(name: str, root: str, rounds: int, count: int, interval: Callable[[list[float]], str]) -> None:
    """Print rows a second of both and the ratio."""
    kind = KINDS[name]
    bench = Bench(kind, root, count)
    tokens = [len(row) for row in bench.rows.ids]
    print(f"{count} rows a round, {statistics.mean(tokens):.0f} tokens a row, {torch.get_num_threads()} threads")
    few = bench.rows.take(range(kind.batch * (Clock.WARM_UP + 2)))
    legs = ("peer", "peer again", "sluice")
    for leg in legs:  # once, unmeasured: kernels are prepared at first use
        bench.seconds(leg, few, 0)
    found: dict[str, list[float]] = {leg: [] for leg in legs}
    for turn in range(rounds):
        for leg in np.roll(legs, turn).tolist():
            found[leg].append(bench.seconds(leg, bench.rows, turn))
        told = "  ".join(f"{leg} {count / found[leg][-1]:.1f}" for leg in legs)
        print(f"round {turn + 1} of {rounds}: {told} rows/s", flush=True)
    names = {"peer": kind.named, "peer again": "the same again (control)", "sluice": "Sluice"}
    print(f"| {name} | rows/s | tokens/s | over the first |\n| --- | --- | --- | --- |")
    for leg in legs:
        rate = count / statistics.median(found[leg])
        over = interval([base / own for base, own in zip(found["peer"], found[leg], strict=True)])
        print(f"| {names[leg]} | {rate:.1f} | {rate * statistics.mean(tokens):.0f} | {over} |")
