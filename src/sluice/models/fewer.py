"""Some layers of a model that has learnt: what a smaller one starts from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sluice.errors import UserError
from sluice.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class FewerLayers(Checkpoint):
    """A checkpoint with so many of its layers, the first and the last among them (Sanh et al. 2019)."""

    layers: int = Field(ge=1)

    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """The checkpoint's weights in fewer layers, head and embeddings included."""
        whole = super().model(model_class, labels, tokenizer, ids)
        total = whole.config.num_hidden_layers
        if self.layers >= total:
            told = f"layers={self.layers}: {self.path} has {total}, expected fewer than that"
            raise UserError(f"{told}. Or give it another shape: +compress.student.config.hidden_size=128")
        return with_layers(whole, spaced(total, self.layers))

    def bare(self, model_class: type[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Any:
        """By the configuration alone."""
        import torch

        whole = super().bare(model_class, labels, tokenizer)
        kept = spaced(whole.config.num_hidden_layers, self.layers)
        config = whole.config.__class__.from_dict({**whole.config.to_dict(), **_fewer(whole.config, kept)})
        with torch.device("meta"):
            return model_class.from_config(config)


class Reshaped(Checkpoint):
    """A checkpoint's tokenizer and architecture with other numbers in its configuration, and weights that are drawn."""

    config: dict[str, int | float]

    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """New weights, drawn from torch's seed; embeddings that know which tokens keep company in `ids`."""
        from sluice.models.lsa import start_embeddings

        whole = super().bare(model_class, labels, tokenizer).config
        told = whole.to_dict()
        if unknown := set(self.config) - set(told):
            raise UserError(f"config={sorted(unknown)}: {type(whole).__name__} has no such setting")
        kinds = told.get("layer_types")
        count = int(self.config.get("num_hidden_layers", whole.num_hidden_layers))
        if kinds:
            told["layer_types"] = [kinds[at % len(kinds)] for at in range(count)]
        config = type(whole).from_dict({**told, **self.config})
        model: PreTrainedModel = model_class.from_config(config, attn_implementation=whole._attn_implementation)
        if ids:
            start_embeddings(model, tokenizer, ids)
        return model

    def bare(self, model_class: type[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Any:
        """By the configuration alone."""
        import torch

        with torch.device("meta"):
            return self.model(model_class, labels, tokenizer, [])


def with_layers(whole: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """A model of the same class with these of its layers, and all else that it has."""
    stack, config = layer_stack(whole), whole.config
    fewer = config.__class__.from_dict({**config.to_dict(), **_fewer(config, kept)})
    model: PreTrainedModel = type(whole)._from_config(fewer, attn_implementation=config._attn_implementation)
    numbered = re.compile(rf"^{re.escape(stack)}\.(\d+)\.")
    places = {old: new for new, old in enumerate(kept)}
    weights = {}
    for name, weight in whole.state_dict().items():
        found = numbered.match(name)
        if found is None:
            weights[name] = weight
        elif int(found[1]) in places:
            weights[f"{stack}.{places[int(found[1])]}.{name[found.end() :]}"] = weight
    model.load_state_dict(weights)
    return model


def layer_stack(model: PreTrainedModel) -> str:
    """The name of the module that holds a model's layers. Raises UserError where there is not one such module."""
    import torch

    total = model.config.num_hidden_layers
    stacks = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == total
    ]
    if len(stacks) != 1:
        raise UserError(f"{type(model).__name__} has {len(stacks)} stacks of {total} layers, expected one to take from")
    return stacks[0]


def spaced(total: int, count: int) -> list[int]:
    """The places of `count` of `total` layers, evenly apart, the first and the last among them."""
    if count == 1:
        return [0]
    return [round(at * (total - 1) / (count - 1)) for at in range(count)]


def _fewer(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """What of the configuration is said a layer, and how many there are."""
    kinds = getattr(config, "layer_types", None)
    return {"num_hidden_layers": len(kept), **({"layer_types": [kinds[at] for at in kept]} if kinds else {})}
