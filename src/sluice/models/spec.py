"""`ModelSpec`: how a tokenizer and a model come to be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sluice.part import Part

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


Architecture = Literal["encoder", "encoder_decoder", "decoder"]


class ModelSpec(Part, ABC):
    """A recipe for a tokenizer and a model."""

    architecture: ClassVar[Architecture | None] = "encoder"
    """The kind of model that it makes; None for any, by the task's Auto class."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of everything that the model starts from."""

    @abstractmethod
    def tokenizer(self, texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
        """A tokenizer; one that is trained sees `texts` only: training rows, or what is pretrained on."""

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

    def bare(self, model_class: type[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The same model without memory for its weights: to count what it would take."""
        import torch

        with torch.device("meta"):
            return self.model(model_class, labels, tokenizer, [])

    def backbone(self) -> ModelSpec:
        """What of this recipe pretraining depends on: recipes that agree in it share one pretraining."""
        return self

    @abstractmethod
    def pretrained(self, folder: Path) -> ModelSpec:
        """This recipe, starting from a pretrained folder."""


def label_maps(labels: Sequence[str]) -> dict[str, Any]:
    """The label names in the form that transformers keeps in `config.json`; nothing for a model without labels."""
    if not labels:
        return {}
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
