"""Learning from unlabelled text: a corpus and a model's architecture in, a pretrained folder and its record out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.data.sources.corpus import Corpus
from sluice.data.sources.near import without_near_duplicates
from sluice.errors import UserError
from sluice.files import folder_digest
from sluice.models.spec import ModelSpec
from sluice.training.pretraining.settings import Pretrain
from sluice.training.reporter import Log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODEL, TOKENIZER, TOKENS, CHECKPOINTS, NEAR = "model", "tokenizer", "tokens", "checkpoints", "near_duplicates"
UNDER_WAY = (TOKENIZER, TOKENS, CHECKPOINTS, NEAR)
"""Folders that only a pretraining under way needs."""
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

    from sluice.training.arguments import check_choices
    from sluice.training.checkpoints import newest_whole, step
    from sluice.training.pretraining.objectives import OBJECTIVES
    from sluice.training.pretraining.tokens import HELD, TRAIN, end_of, tokenize
    from sluice.training.pretraining.trainer import make_trainer

    check_choices(settings)
    if settings.near_duplicates == "drop":
        corpus = without_near_duplicates(corpus, settings.near_duplicate_threshold, folder / NEAR)
    tokenizer = _tokenizer(corpus, spec, settings, max_length, folder / TOKENIZER)
    tokens = tokenize(corpus, tokenizer, folder / TOKENS, buffer=settings.shuffle_buffer, seed=settings.seed)
    length = min(settings.sequence_length, tokenizer.model_max_length)
    train, held_out = tokens.sequences(TRAIN, length), tokens.sequences(HELD, length)[:HELD_SEQUENCES]
    set_seed(settings.seed)
    objective = OBJECTIVES[settings.objective](settings, tokenizer)
    documents = tokens.some_documents(START_TOKENS, end_of(tokenizer))
    model = spec.model(objective.auto(), [], tokenizer, documents)
    trainer = make_trainer(model, objective, train, held_out, settings, folder / CHECKPOINTS, log)
    checkpoint = newest_whole(folder / CHECKPOINTS)
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = time.perf_counter() - start
    shutil.rmtree(folder / MODEL, ignore_errors=True)  # what a killed call left
    model.save_pretrained(folder / MODEL)
    tokenizer.save_pretrained(folder / MODEL)
    resumed = step(checkpoint) if checkpoint else 0
    steps, in_step = trainer.state.global_step, settings.batch_size * length
    return {
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
        "held_out": trainer.conclude(),
        "curve": [[entry["step"], entry["loss"]] for entry in trainer.state.log_history if "loss" in entry],
    }


def _tokenizer(
    corpus: Corpus, spec: ModelSpec, settings: Pretrain, max_length: int, folder: Path
) -> PreTrainedTokenizerBase:
    """The model's own tokenizer, or one trained on a sample of the corpus."""
    from transformers import AutoTokenizer

    from sluice.training.pretraining.tokens import sample

    if not folder.exists():
        tokenizer = spec.tokenizer(sample(corpus, settings.tokenizer_characters, settings.seed), max_length)
        if tokenizer.mask_token_id is None and settings.objective == "mlm":
            raise UserError("this model's tokenizer has no mask token to hide words behind: pretrain=none")
        temporary = folder.with_suffix(".partial")
        shutil.rmtree(temporary, ignore_errors=True)
        tokenizer.save_pretrained(temporary)
        temporary.rename(folder)
    return AutoTokenizer.from_pretrained(str(folder))
