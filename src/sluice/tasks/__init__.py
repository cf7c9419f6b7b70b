"""Tasks: what is learnt. One file a task; `resolve` is the only place where a name becomes a class."""

from __future__ import annotations

from typing import Any

from sluice.errors import UserError
from sluice.tasks.chat import Chat
from sluice.tasks.classification import Classification
from sluice.tasks.embedding import Embedding
from sluice.tasks.generation import CausalLM
from sluice.tasks.multilabel import Multilabel
from sluice.tasks.pair_classification import PairClassification
from sluice.tasks.regression import Regression
from sluice.tasks.seq2seq import Summarization, Translation
from sluice.tasks.similarity import Similarity
from sluice.tasks.task import Task
from sluice.tasks.token_classification import TokenClassification

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Classification,
        PairClassification,
        Multilabel,
        Regression,
        TokenClassification,
        Summarization,
        Translation,
        Embedding,
        Similarity,
        CausalLM,
        Chat,
    )
}


def resolve(name: str, fields: dict[str, Any]) -> Task:
    """The task that a bundle names, with its fields."""
    if name not in TASKS:
        raise UserError(f"unknown task '{name}'; this Sluice knows: {', '.join(TASKS)}")
    return TASKS[name].model_validate(fields)
