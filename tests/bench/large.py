"""A decoder of a billion parameters learns by adapters: `make bench-large`.

Its weights are random, so nothing is learnt that would be of use: what is measured is whether it fits, how much
memory it takes beside what was foretold, and how fast it goes. Rows are those of the default chat data; gradient
checkpointing is on.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, set_seed

from pipelines import preprocess
from pipelines.shared.session import Session
from sluice.data.prepare import load
from sluice.models.decoder import Decoder
from sluice.tasks.chat import Chat
from sluice.training.bundle import SHARD
from sluice.training.lora import adapted, merged
from sluice.training.loss import loss_of
from sluice.training.memory import check_memory
from sluice.training.precision import resolve_precision
from sluice.training.rows import Rows
from sluice.training.settings import Lora, Train
from sluice.training.trainer import make_trainer
from tests.bench import told, whole
from tests.bench.clock import Clock
from tests.bench.training import peak
from tests.conftest import compose_config

TASK = Chat(max_length=320)
SPEC = Decoder(vocabulary=8000, hidden=2048, layers=24, heads=32, key_value_heads=4, feed_forward=5632)
LORA = Lora(rank=16)
GIB = 2**30


def held() -> float:
    """GiB that this process, or its GPU, has held at most."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def large(root: str, steps: int, batch: int) -> None:
    """Train, merge, save in shards, open again; print what it took."""
    with Session(compose_config(f"root={root}", "experiment=chat")) as session:
        folder = preprocess.run(session).folder
    some = load(folder)["train"].shuffle(seed=0)
    tokenizer = SPEC.tokenizer(TASK.corpus(some.select(range(5000)).to_dict()), TASK.max_length)
    rows = Rows.of(TASK, tokenizer, some.select(range(steps * batch)).to_dict(), [])
    settings = Train(
        max_steps=steps, batch_size=batch, lora=LORA, gradient_checkpointing=True, learning_rate=2e-4, warmup=0.0,
        label_smoothing=0.0, token_dropout=0.0, evaluations=1, checkpoints=1,
    )  # fmt: skip
    before = held()
    need = check_memory(SPEC, TASK, [], tokenizer, rows, settings)
    print(f"foretold: {need}; {before:.1f} GiB held already", flush=True)
    set_seed(0)
    model = SPEC.model(TASK.model_class(), [], tokenizer, rows.ids)
    clock = Clock()
    with tempfile.TemporaryDirectory() as kept:
        trainer = make_trainer(
            adapted(model, LORA), tokenizer, TASK, rows, rows.take(range(batch)), settings, measure=lambda p: {},
            loss=loss_of(TASK, settings, rows.targets, 2), seed=0, folder=Path(kept), log=lambda values, step: None,
        )  # fmt: skip
        trainer.args.save_strategy, trainer.args.eval_strategy = "no", "no"
        trainer.callback_handler.callbacks = [*trainer.callback_handler.callbacks[:1], clock]
        trainer.train()
        learnt = sum(one.numel() for one in trainer.model.parameters() if one.requires_grad)
        most, made = held(), merged(trainer.model)
        made.save_pretrained(Path(kept) / "model", max_shard_size=SHARD)
        shards = json.loads((Path(kept) / "model" / "model.safetensors.index.json").read_text())["weight_map"]
        opened = AutoModelForCausalLM.from_pretrained(Path(kept) / "model")
        same = all(
            torch.equal(one.cpu(), other) for one, other in zip(made.parameters(), opened.parameters(), strict=True)
        )
    count = sum(one.numel() for one in opened.parameters())
    tokens = clock.rate() * batch * statistics.mean(map(len, rows.ids))
    # Forward, forward again and the gradients of what is passed on; those of the weights are left out.
    work = 6 * count * tokens
    print(f"parameters {count / 1e9:.2f} billion, {learnt / 1e6:.1f} million of them beside, learnt")
    print(f"peak memory {most:.1f} GiB, {most - before:.1f} of them for this training")
    precision = resolve_precision("auto")
    share = work / peak(torch.float32 if precision == "fp32" else torch.bfloat16)
    print(f"{tokens:.0f} tokens/s in {precision}: {work / 1e9:.0f} GFLOP/s, {share:.0%} of what matrix products reach")
    print(f"merged and saved in {len(set(shards.values()))} shards; opened again the same: {'yes' if same else 'NO'}")


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="mlruns", help="where the prepared rows lie, or will")
    parser.add_argument("--steps", type=whole, default=6)
    parser.add_argument("--batch", type=whole, default=4)
    given = parser.parse_args()
    large(given.root, given.steps, given.batch)


if __name__ == "__main__":
    told(main)
