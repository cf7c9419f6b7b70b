"""How fast fine-tuning is, beside what everyone can have by settings: `make bench-train`.

One encoder (BERT, 6 layers of 384), the same rows of the default data, batches of 32. The legs take turns, round after
round, so that a noisy machine slows all of them; a ratio is taken within its round. Time is that of the steps alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import BertConfig, DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

from pipelines import preprocess
from pipelines.shared.session import Session
from sluice.data.prepare import load
from sluice.models.encoder import Encoder
from sluice.tasks.classification import Classification
from sluice.training.loss import loss_of
from sluice.training.precision import resolve_precision
from sluice.training.rows import Rows
from sluice.training.settings import Train
from sluice.training.trainer import make_trainer
from tests.bench import peers, told, whole
from tests.bench.clock import Clock
from tests.conftest import compose_config

LENGTH, BATCH = 128, 32
SIZES = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
TASK = Classification(max_length=LENGTH)
LEGS = ("run_glue", "grouped", "grouped again", "sluice")
NAMES = {
    "run_glue": "run_glue's settings (pad to 128, fp32)",
    "grouped": "Trainer, length grouping, bf16 if native",
    "grouped again": "the same again (control)",
    "sluice": "Sluice",
}


class Bench:
    """The rows, the tokenizer and the legs."""

    def __init__(self, root: str, overrides: list[str]) -> None:
        with Session(compose_config(f"root={root}", *overrides)) as session:
            folder = preprocess.run(session).folder
        rows = load(folder)
        self.train, self.test = rows["train"].shuffle(seed=0).to_dict(), rows["test"].to_dict()
        self.labels = TASK.labels(self.train)
        self.tokenizer = Encoder(vocabulary=8000).tokenizer(self.train["text"], LENGTH)

    def rows(self, side: dict[str, Any], count: int) -> Rows:
        """The first `count` rows, encoded."""
        some = {name: values[:count] for name, values in side.items()}
        return Rows.of(TASK, self.tokenizer, some, self.labels)

    def model(self, seed: int) -> Any:
        """A new encoder."""
        set_seed(seed)
        config = BertConfig(vocab_size=len(self.tokenizer), num_labels=len(self.labels), **SIZES)
        return TASK.model_class().from_config(config)

    def trainer(self, leg: str, rows: Rows, epochs: int, seed: int, folder: Path) -> Trainer:
        """The leg's way to train on `rows`."""
        model = self.model(seed)
        if leg == "sluice":
            settings = Train(
                epochs=epochs, learning_rate=5e-4, weight_decay=0.0, label_smoothing=0.0, token_dropout=0.0,
                warmup=0.0, evaluations=1, checkpoints=1,
            )  # fmt: skip
            trainer = make_trainer(
                model, self.tokenizer, TASK, rows, rows.take(range(32)), settings,
                measure=lambda p: {"accuracy": 0.0},
                loss=loss_of(TASK, settings, rows.targets, len(self.labels)), seed=seed, folder=folder,
                log=lambda values, step: None,
            )  # fmt: skip
            trainer.args.save_strategy, trainer.args.eval_strategy = "no", "no"
            return trainer
        grouped = leg != "run_glue"
        data = rows.dataset().map(lambda row: {"length": len(row["input_ids"])})
        arguments = TrainingArguments(
            output_dir=str(folder), num_train_epochs=epochs, per_device_train_batch_size=BATCH, learning_rate=5e-4,
            train_sampling_strategy="group_by_length" if grouped else "random",
            bf16=grouped and resolve_precision("auto") == "bf16",
            use_cpu=not torch.cuda.is_available(), save_strategy="no", report_to="none", disable_tqdm=True, seed=seed,
            dataloader_pin_memory=False, logging_strategy="no",
        )  # fmt: skip
        padding = {"padding": True} if grouped else {"padding": "max_length", "max_length": LENGTH}
        collator = DataCollatorWithPadding(self.tokenizer, **padding)
        trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=collator)
        trainer.model_accepts_loss_kwargs = False
        return trainer

    def run(self, leg: str, rows: Rows, epochs: int, seed: int) -> tuple[float, Any]:
        """Rows a second, and the trained model."""
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            trainer = self.trainer(leg, rows, epochs, seed, Path(folder))
            trainer.callback_handler.callbacks = [*trainer.callback_handler.callbacks[:1], clock]  # no progress bars
            trainer.train()
        return BATCH * clock.rate(), trainer.model

    def accuracy(self, model: Any) -> float:
        """On all test rows, in fp32."""
        rows = self.rows(self.test, len(self.test["text"]))
        order = np.argsort([len(row) for row in rows.ids])
        right = 0
        model.eval()
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            batch = self.tokenizer.pad({"input_ids": [rows.ids[i] for i in part]}, return_tensors="pt")
            with torch.inference_mode():
                guesses = model(**batch.to(model.device)).logits.argmax(-1).cpu().numpy()
            right += int((guesses == np.asarray(rows.targets)[part]).sum())
        return right / len(order)


def peak(dtype: torch.dtype, seconds: float = 1.5) -> float:
    """The best rate of a square matrix product, in floating-point operations a second."""
    device, size = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 2048)
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        one @ other
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def operations(rows: Rows) -> float:
    """Floating-point operations that one row's training needs at least, padding aside: 6 a weight and token, and
    attention's two products (Kaplan et al. 2020, Scaling Laws, section 2.1).
    """
    width, layers, inner = SIZES["hidden_size"], SIZES["num_hidden_layers"], SIZES["intermediate_size"]
    lengths = np.array([len(row) for row in rows.ids])
    weights = layers * (4 * width**2 + 2 * width * inner)
    return float((6 * weights * lengths + 12 * layers * width * lengths**2).mean())


def interval(ratios: list[float]) -> str:
    """The median ratio with the 90 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [5, 95])
    return f"{statistics.median(ratios):.2f}x [{low:.2f}, {high:.2f}]"


def speed(bench: Bench, rounds: int, count: int) -> None:
    """Print the table of speeds."""
    rows = bench.rows(bench.train, count)
    lengths = [len(row) for row in rows.ids]
    print(f"{count} rows a round, {statistics.mean(lengths):.0f} tokens a row, {torch.get_num_threads()} threads")
    for leg in LEGS:  # once, unmeasured: kernels are prepared at first use
        bench.run(leg, bench.rows(bench.train, BATCH * (Clock.WARM_UP + 2)), 1, 0)
    rates: dict[str, list[float]] = {leg: [] for leg in LEGS}
    for turn in range(rounds):
        for leg in LEGS[turn % len(LEGS) :] + LEGS[: turn % len(LEGS)]:
            rates[leg].append(bench.run(leg, rows, 1, turn)[0])
        told = "  ".join(f"{leg} {rates[leg][-1]:.1f}" for leg in LEGS)
        print(f"round {turn + 1} of {rounds}: {told} rows/s", flush=True)
    peaks = {"fp32": peak(torch.float32), "bf16": peak(torch.bfloat16)}
    print("  ".join(f"peak {name} {value / 1e9:.0f} GFLOP/s" for name, value in peaks.items()))
    print("| way | rows/s | tokens/s | utilisation | over run_glue | over Trainer grouped |")
    print("| --- | --- | --- | --- | --- | --- |")
    for leg in LEGS:
        rate = statistics.median(rates[leg])
        used = "fp32" if leg == "run_glue" else resolve_precision("auto")
        share = rate * operations(rows) / peaks[used]
        over = [
            interval([one / other for one, other in zip(rates[leg], rates[base], strict=True)])
            for base in ("run_glue", "grouped")
        ]
        tokens = rate * statistics.mean(lengths)
        print(f"| {NAMES[leg]} | {rate:.1f} | {tokens:.0f} | {share:.0%} of {used} | {over[0]} | {over[1]} |")


def quality(bench: Bench, count: int, epochs: int, seeds: int) -> None:
    """Print what each way learns from the same rows in the same passes."""
    rows = bench.rows(bench.train, count)
    print(f"\naccuracy on {len(bench.test['text']):,} test rows after {epochs} passes over {count:,} rows")
    for leg in LEGS:
        if leg == "grouped again":
            continue
        found = [bench.accuracy(bench.run(leg, rows, epochs, seed)[1]) for seed in range(seeds)]
        listed = "  ".join(f"{value:.3f}" for value in found)
        print(f"{NAMES[leg]:<42} mean {statistics.mean(found):.3f}  seeds {listed}", flush=True)


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="mlruns", help="where the prepared rows lie, or will")
    parser.add_argument("--task", choices=("classification", *peers.KINDS), default="classification")
    parser.add_argument("--rounds", type=whole, default=7)
    parser.add_argument("--rows", type=whole, default=640, help="in one round")
    parser.add_argument("--accuracy-rows", type=int, default=0, help="also compare what is learnt from so many rows")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "overrides", nargs="*", help="of the configuration: other rows, such as data.max_characters=250"
    )
    given = parser.parse_intermixed_args()
    datasets.disable_progress_bars()
    if given.task != "classification":
        peers.compare(given.task, given.root, given.rounds, given.rows, interval)
        return
    bench = Bench(given.root, given.overrides)
    speed(bench, given.rounds, given.rows)
    if given.accuracy_rows:
        quality(bench, given.accuracy_rows, given.epochs, given.seeds)


if __name__ == "__main__":
    told(main)
