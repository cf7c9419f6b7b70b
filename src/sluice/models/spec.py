"""`ModelSpec`: how a tokenizer and a model come to be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sluice.part import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ModelSpec(Part, ABC):
    """A recipe for a tokenizer and a model."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of everything that the model starts from."""

    @abstractmethod
    def tokenizer(self, texts: Sequence[str], max_length: int) -> PreTrainedTokenizerBase:
        """A tokenizer; one that is trained sees `texts`, the training rows, only."""

    @abstractmethod
    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """A model with the head of the Auto class `model_class`; `ids` are the training rows' tokens.

        Seed torch before: new weights are drawn.
        """


def label_maps(labels: Sequence[str]) -> dict[str, Any]:
    """The label names in the form that transformers keeps in `config.json`."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
