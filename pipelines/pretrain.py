"""A model that has read unlabelled text, made once and shared by every fine-tuning that fits it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pipelines import preprocess
from pipelines.shared.entry import main
from pipelines.shared.session import Session
from sluice.config import Config
from sluice.data.sources import corpus
from sluice.errors import UserError
from sluice.registry.runs import Run
from sluice.training.pretraining.pretrain import UNDER_WAY
from sluice.training.pretraining.settings import Pretrain
from sluice.workspace import Output


def run(session: Session, prepared: Output) -> Output | None:
    """The pretrained folder (in `model/`) and its record; None where the model starts from its own weights.

    The key holds nothing of labels, dropouts, fine-tuning or the task but its longest input.
    """
    cfg = session.cfg
    settings = cfg.pretrain
    if not settings.enabled:
        return None
    texts = _corpus(session, prepared)
    spec = cfg.model.backbone()
    # What the corpus' files are called does not matter: its digest says what they hold.
    content = settings.model_copy(update={"corpus": None})
    key = session.stage_key(
        (content, spec),
        ("sluice.training.pretraining.pretrain",),
        texts.digest,
        spec.fingerprint(),
        cfg.task.max_length,
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.registry.guard import Figures
        from sluice.training.pretraining.pretrain import pretrain

        child.params(params(settings))
        child.dataset("corpus", texts.digest, " ".join(settings.patterns) or cfg.data.name, "pretraining")
        figures = Figures(child)
        record = pretrain(texts, spec, settings, max_length=cfg.task.max_length, folder=folder, log=figures)
        figures.send()
        child.metrics({f"held_out/{name}": value for name, value in record["held_out"].items()})
        child.metrics({f"left_out/{reason}": count for reason, count in record["left_out"].items()})
        child.metrics({name: record[name] for name in ("corpus_tokens", "tokens_seen", "tokens_per_s")})
        child.tags({"sluice.pretraining": record["digest"], "sluice.corpus": texts.digest})
        print("\n".join(report_lines(record)), flush=True)
        return record

    output = session.stage("pretrain", key, build)
    for name in UNDER_WAY:  # not before the stage is known to be done
        shutil.rmtree(output.folder / name, ignore_errors=True)
    return output


def _corpus(session: Session, prepared: Output) -> corpus.Corpus:
    cfg = session.cfg
    if cfg.pretrain.patterns:
        return corpus.from_files(cfg.pretrain.patterns, cfg.pretrain.column, prepared.folder, session.workspace.root)
    return corpus.own(cfg.data, prepared.folder, cfg.task)


def params(settings: Pretrain) -> dict[str, Any]:
    """The few choices that people compare pretrainings by."""
    names = {"max_steps", "epochs", "batch_size", "sequence_length", "mask_share", "learning_rate", "seed"}
    return settings.model_dump(include=names)


def report_lines(record: dict[str, Any]) -> list[str]:
    """A short table for people: what was read, what was left out, what was learnt."""
    left_out = "  ".join(f"{reason} {count:,}" for reason, count in record["left_out"].items() if count)
    held_out = record["held_out"]
    named = {"loss": "{:.3f}", "accuracy": "{:.3f}", "perplexity": "{:,.1f}", "pseudo_perplexity": "{:,.1f}"}
    shown = "  ".join(f"{name} {form.format(held_out[name])}" for name, form in named.items() if name in held_out)
    return [
        f"corpus    {record['documents']:,} documents, {record['corpus_tokens']:,} tokens",
        *([f"left out  {left_out}"] if left_out else []),
        f"read      {record['tokens_seen']:,} tokens at {record['tokens_per_s']:,.0f} a second",
        f"held out  {shown}",
    ]


def command(cfg: Config) -> None:
    """`make pretrain`."""
    if not cfg.pretrain.enabled:
        raise UserError('nothing to pretrain with pretrain=none. Choose: make pretrain ARGS="pretrain=mlm"')
    with Session(cfg) as session:
        run(session, preprocess.run(session))


if __name__ == "__main__":
    main(command)
