"""Masked language modelling: a corpus and a model's architecture in, a pretrained folder and its record out."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.data.corpus import Corpus
from sluice.errors import UserError
from sluice.files import folder_digest, write_json
from sluice.models.spec import ModelSpec
from sluice.training.checkpoints import newest_complete
from sluice.training.precision import use_bf16
from sluice.training.pretrain_settings import Pretrain
from sluice.training.reporter import Log, reporter

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

    from sluice.training.pretrain_tokens import Ids, Tokens

MODEL, RECORD = "model", "record.json"
START_TOKENS = 4_000_000
"""From that many tokens of the corpus embeddings may take their starting values."""
HELD_SEQUENCES = 256
"""Held-out sequences that are measured, at most."""


def pretrain(
    corpus: Corpus, spec: ModelSpec, settings: Pretrain, *, max_length: int, folder: Path, log: Log
) -> dict[str, Any]:
    """Fill `folder/model` with a Hugging Face folder, tokenizer inside, and return the record.

    What a killed call left in `folder` is gone on from: the tokenizer, finished shards, the newest checkpoint.
    """
    from transformers import set_seed

    from sluice.training.pretrain_tokens import HELD, TRAIN, tokenize

    if (folder / RECORD).exists():
        return _clear(folder)
    tokenizer = _tokenizer(corpus, spec, settings, max_length, folder / "tokenizer")
    tokens = tokenize(corpus, tokenizer, folder / "tokens", buffer=settings.shuffle_buffer, seed=settings.seed)
    length = min(settings.sequence_length, tokenizer.model_max_length)
    train, held_out = tokens.sequences(TRAIN, length), tokens.sequences(HELD, length)[:HELD_SEQUENCES]
    set_seed(settings.seed)
    model = _model(spec, tokenizer, tokens)
    trainer = _trainer(model, tokenizer, train, held_out, settings, folder / "checkpoints", log)
    checkpoint = newest_complete(folder / "checkpoints")
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.perf_counter() - start
    _save(trainer.model, tokenizer, folder / MODEL)
    resumed = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    steps, in_step = trainer.state.global_step, settings.batch_size * length
    record = {
        "digest": folder_digest(folder / MODEL),
        "corpus": corpus.digest,
        "documents": tokens.documents,
        "left_out": tokens.left_out,
        "corpus_tokens": train.size,
        "steps": steps,
        "sequence_length": length,
        "tokens_seen": steps * in_step,
        "tokens_per_s": (steps - resumed) * in_step / seconds,
        "resumed_from": resumed or None,
        "held_out": {name.removeprefix("eval_"): value for name, value in trainer.evaluate().items()},
        "curve": [[entry["step"], entry["loss"]] for entry in trainer.state.log_history if "loss" in entry],
    }
    write_json(folder / RECORD, record)
    return _clear(folder)


def _clear(folder: Path) -> dict[str, Any]:
    """Remove what only a pretraining under way needs; the record says that none is."""
    for name in ("tokens", "checkpoints", "tokenizer"):
        shutil.rmtree(folder / name, ignore_errors=True)
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return record


def _tokenizer(
    corpus: Corpus, spec: ModelSpec, settings: Pretrain, max_length: int, folder: Path
) -> PreTrainedTokenizerBase:
    """The model's own tokenizer, or one trained on a sample of the corpus."""
    from transformers import AutoTokenizer

    from sluice.training.pretrain_tokens import sample

    if not folder.exists():
        tokenizer = spec.tokenizer(sample(corpus, settings.tokenizer_characters, settings.seed), max_length)
        if tokenizer.mask_token_id is None:
            raise UserError("this model's tokenizer has no mask token to hide words behind: pretrain=none")
        temporary = folder.with_suffix(".partial")
        shutil.rmtree(temporary, ignore_errors=True)
        tokenizer.save_pretrained(temporary)
        temporary.rename(folder)
    return AutoTokenizer.from_pretrained(str(folder))


def _model(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, tokens: Tokens) -> PreTrainedModel:
    from transformers import AutoModelForMaskedLM

    from sluice.training.pretrain_loss import masked_loss

    ids = tokens.some_documents(START_TOKENS, tokenizer.sep_token_id)
    model = spec.model(AutoModelForMaskedLM, [], tokenizer, ids)
    # ModernBERT then computes the vocabulary's scores for hidden tokens only: a step takes 0.4 of the time. Set on the
    # model and not in its configuration, which is saved and would surprise whoever opens the folder.
    model.sparse_prediction = True
    model.loss_function = masked_loss
    return model


def _trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Ids,
    held_out: Ids,
    settings: Pretrain,
    folder: Path,
    log: Log,
) -> Trainer:
    import torch
    from transformers import Trainer
    from transformers.trainer_callback import ProgressCallback

    from sluice.training.pretrain_loss import hide
    from sluice.training.pretrain_tokens import Order

    arguments = _arguments(settings, len(train), folder)
    hidden = partial(hide, share=settings.mask_share, mask=tokenizer.mask_token_id, special=tokenizer.all_special_ids)
    # Not Trainer's bf16: it would widen the scores of the whole vocabulary to float32 on their way out of the model.
    autocast = partial(torch.autocast, dtype=torch.bfloat16, enabled=use_bf16(settings.precision))

    class Masked(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Order:
            return Order(len(train), self.args.max_steps * settings.batch_size, settings.seed)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            # Masks are drawn here and not where batches are read, ahead of the step: a resumed run draws the same.
            ids, labels = hidden(inputs["input_ids"])
            with autocast(ids.device.type):
                return model(input_ids=ids, labels=labels).loss

        def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
            device = self.args.device
            ids = torch.from_numpy(held_out.astype("int64")).to(device)
            with autocast(device.type):
                figures = measure(self.model, torch.split(ids, 2 * settings.batch_size), hidden)
            self.log({f"eval_{name}": value for name, value in figures.items()})
            return {f"eval_{name}": value for name, value in figures.items()}

    trainer = Masked(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=held_out,
        data_collator=_stack,
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(reporter(log))
    trainer.model_accepts_loss_kwargs = False  # the loss is a plain mean
    return trainer


def _stack(rows: Sequence[Ids]) -> dict[str, torch.Tensor]:
    import numpy as np
    import torch

    return {"input_ids": torch.from_numpy(np.stack(rows).astype(np.int64))}


def measure(model: Any, batches: Sequence[torch.Tensor], hidden: Any) -> dict[str, float]:
    """Loss (nats), accuracy and perplexity of guessing hidden tokens, the same ones every time it is asked.

    The perplexity is that of several tokens hidden at once, so above what hiding one at a time would give.
    """
    import torch

    from sluice.training.pretrain_loss import hidden_only

    model.eval()
    generator = torch.Generator(batches[0].device).manual_seed(0)
    loss = right = count = 0.0
    with torch.no_grad():
        for batch in batches:
            ids, labels = hidden(batch, generator=generator)
            logits, wanted = hidden_only(model(input_ids=ids, labels=labels).logits, labels)
            loss += torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum").item()
            right += (logits.argmax(dim=-1) == wanted).sum().item()
            count += len(wanted)
    return {"loss": loss / count, "accuracy": right / count, "perplexity": math.exp(loss / count)}


def _save(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what a killed call left
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _arguments(settings: Pretrain, sequences: int, folder: Path) -> TrainingArguments:
    import torch
    from transformers import TrainingArguments

    steps = total_steps(settings, sequences)
    interval = max(1, math.ceil(steps / settings.evaluations))
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        optim=settings.optimizer,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=1,
        metric_for_best_model="loss",
        logging_steps=max(1, steps // 50),
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        report_to="none",
        seed=settings.seed,
        data_seed=settings.seed,
        disable_tqdm=False,
    )


def total_steps(settings: Pretrain, sequences: int) -> int:
    """Optimizer steps of the whole pretraining."""
    if settings.epochs is None:
        return settings.max_steps
    return math.ceil(sequences * settings.epochs / settings.batch_size)
