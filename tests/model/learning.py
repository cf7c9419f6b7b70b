"""A toy task learnt in seconds, for tests that need a bundle that knows something."""

from pathlib import Path

from sluice.inference.bundle import Bundle, Lineage
from sluice.models.spec import ModelSpec
from sluice.tasks.task import Columns, Task
from sluice.training.distillation import Teacher
from sluice.training.fit import Fitted, fit
from sluice.training.rows import Rows
from sluice.training.settings import Train


def learn(
    task: Task,
    spec: ModelSpec,
    rows: Columns,
    validation: Columns,
    folder: Path,
    teacher: Teacher | None = None,
    **settings: object,
) -> tuple[Fitted, Path]:
    """What was learnt, and the bundle of it in `folder`."""
    from transformers import set_seed

    labels = task.labels(rows)
    tokenizer = spec.tokenizer(task.corpus(rows), task.max_length)
    known, unseen = (Rows.of(task, tokenizer, some, labels) for some in (rows, validation))
    set_seed(0)
    model = spec.model(task.model_class(), task.head(labels), tokenizer, known.ids)
    task.begin(model, rows)
    settings = {"learning_rate": 3e-3, "epochs": 6, "precision": "fp32", "evaluations": 1, **settings}
    fitted = fit(
        model, tokenizer, task, known, unseen, labels, Train.model_validate(settings),
        seed=0, folder=folder / "checkpoints", checkpoint=None, log=lambda values, step: None,
        teacher=teacher,
    )  # fmt: skip
    bundle = folder / "bundle"
    task.finish(fitted.model)
    fitted.model.save_pretrained(bundle)
    tokenizer.save_pretrained(bundle)
    task.export(bundle)
    lineage = Lineage(data="d" * 64, split="e" * 64, config="f" * 64, git="none")
    fields = task.model_dump(mode="json")
    Bundle(task=task.name, fields=fields, labels=tuple(labels), lineage=lineage).write(bundle)
    return fitted, bundle
