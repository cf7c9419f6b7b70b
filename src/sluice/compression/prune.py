"""Structured pruning: the least important neurons, heads and layers are cut out, so that what is left is smaller.

Importance is measured on rows: of a neuron or a head, the size of its activations times that of the weights that read
them (Sun et al. 2024, with whole rows and columns); of a layer, how far it turns the states that go through it (Men et
al. 2024). Weights only move: what is left is a plain checkpoint of the same class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from sluice.compression.settings import Pruning
from sluice.errors import UserError
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Texts
from sluice.models.fewer import layer_stack, with_layers

BATCH = 32
Batch = dict[str, torch.Tensor]
"""Token ids and which of them count, shape (rows, tokens)."""
Cuts = dict[str, tuple[int, torch.Tensor]]
"""By parameter, along which of its dimensions which places stay."""
Note = Callable[[int, torch.Tensor, Any, torch.Tensor], None]


def prune(bundle: Path, inputs: Sequence[Any], settings: Pruning, folder: Path) -> dict[str, int]:
    """Write the model, cut, as a checkpoint. Returns what is left: layers, and the neurons and heads of each.

    `inputs` are those of the rows that importance is measured on. Raises UserError for a model that cannot be cut so.
    """
    from transformers import AutoTokenizer

    texts = Texts(bundle)
    model = TorchEngine().model(bundle, texts.task).cpu()
    ids = sorted((one.ids for one in texts.encode(inputs)), key=len)
    batches = [_padded(ids[at : at + BATCH], model.config.pad_token_id or 0) for at in range(0, len(ids), BATCH)]
    if settings.layers:
        model = _fewer_layers(model, batches, settings.layers)
    if settings.neurons < 1:
        model = _fewer_neurons(model, batches, settings.neurons)
    if settings.heads < 1:
        model = _fewer_heads(model, batches, settings.heads)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(bundle.absolute()).save_pretrained(folder)
    names = {"layers": "num_hidden_layers", "neurons": "intermediate_size", "heads": "num_attention_heads"}
    return {name: getattr(model.config, key) for name, key in names.items() if hasattr(model.config, key)}


def _fewer_layers(model: Any, batches: list[Batch], count: int) -> Any:
    """The first, which reads the embeddings, and those that turn the states most."""
    total = model.config.num_hidden_layers
    if count >= total:
        raise UserError(f"compress.prune.layers={count}: the model has {total}, expected fewer than that")
    turned = torch.zeros(total)

    def note(place: int, before: torch.Tensor, after: Any, mask: torch.Tensor) -> None:
        after = after[0] if isinstance(after, tuple) else after
        turned[place] += (1 - torch.cosine_similarity(before[mask], after[mask], dim=-1)).sum()

    _watch(model, batches, dict(enumerate(model.get_submodule(layer_stack(model)))), note)
    turned[0] = torch.inf
    return with_layers(model, sorted(turned.topk(count).indices.tolist()))


def _fewer_neurons(model: Any, batches: list[Batch], share: float) -> Any:
    """The neurons of each layer whose activations move its output most."""
    width = getattr(model.config, "intermediate_size", 0)
    stack = layer_stack(model)
    cuts: Cuts = {}
    for place in range(model.config.num_hidden_layers):
        parts = _linear(model, f"{stack}.{place}", attention=False)
        # The last that reads so many is the one that gives the states back, even where those are as many.
        reader = next((name for name, one in reversed(parts.items()) if one.in_features == width), None)
        writers = {
            name: one for name, one in parts.items() if name != reader and one.out_features in (width, 2 * width)
        }
        if reader is None or not writers:
            told = f"{type(model).__name__} has no feed-forward part that can be cut in each layer"
            raise UserError(f"{told}. Leave it whole: compress.prune.neurons=1")
        stay = _important(model, batches, reader, width, share)
        cuts[f"{reader}.weight"] = (1, stay)
        for other, one in writers.items():
            rows = stay if one.out_features == width else torch.cat([stay, stay + width])  # the gate's beside them
            cuts |= {f"{other}.weight": (0, rows), f"{other}.bias": (0, rows)}
    return _cut(model, cuts, {"intermediate_size": len(stay)})


def _fewer_heads(model: Any, batches: list[Batch], share: float) -> Any:
    """The heads of each layer whose values move its output most; those that share keys and values go together."""
    config, stack = model.config, layer_stack(model)
    groups, wide = getattr(config, "num_key_value_heads", None), getattr(config, "head_dim", None)
    cuts: Cuts = {}
    for place in range(config.num_hidden_layers):
        parts = {name.rpartition(".")[2]: name for name in _linear(model, f"{stack}.{place}", attention=True)}
        if not (wide and groups and set(parts) == {"q_proj", "k_proj", "v_proj", "o_proj"}):
            told = f"the configuration of {type(model).__name__} has no place for fewer heads of the same width"
            raise UserError(f"{told}. Leave them: compress.prune.heads=1")
        stay, each = _important(model, batches, parts["o_proj"], groups, share), config.num_attention_heads // groups
        cuts[f"{parts['o_proj']}.weight"] = (1, _places(stay, each * wide))
        for part, width in (("q_proj", each * wide), ("k_proj", wide), ("v_proj", wide)):
            rows = _places(stay, width)
            cuts |= {f"{parts[part]}.weight": (0, rows), f"{parts[part]}.bias": (0, rows)}
    if config.hidden_size % (len(stay) * each):
        told = f"{len(stay) * each} heads of {config.num_attention_heads} would stay, by which {config.hidden_size}"
        raise UserError(f"{told} cannot be divided, as the configuration asks. Choose another compress.prune.heads")
    left = {"num_attention_heads": len(stay) * each, "num_key_value_heads": len(stay), "head_dim": wide}
    return _cut(model, cuts, left)


def _places(groups: torch.Tensor, width: int) -> torch.Tensor:
    """Where in a row those groups stand of which each is so wide."""
    return (groups[:, None] * width + torch.arange(width)).flatten()


def _linear(model: Any, layer: str, attention: bool) -> dict[str, torch.nn.Linear]:
    """The linear maps of a layer by name: those of its attention, or the others."""
    return {
        f"{layer}.{name}": one
        for name, one in model.get_submodule(layer).named_modules()
        if isinstance(one, torch.nn.Linear) and ("att" in name) == attention
    }


def _important(model: Any, batches: list[Batch], reader: str, groups: int, share: float) -> torch.Tensor:
    """Which of the equal groups of what `reader` reads stay: mean square of each times its weights' square, largest."""
    linear = model.get_submodule(reader)
    squares = torch.zeros(linear.in_features)

    def note(_: int, before: torch.Tensor, after: Any, mask: torch.Tensor) -> None:
        squares.add_(before[mask].square().sum(dim=0))

    _watch(model, batches, {0: linear}, note)
    moved = (squares * linear.weight.square().sum(dim=0)).reshape(groups, -1).sum(dim=1)
    return moved.topk(max(1, round(share * groups))).indices.sort().values


def _watch(model: Any, batches: list[Batch], modules: dict[int, torch.nn.Module], note: Note) -> None:
    """All batches through the model; `note` is told what goes into each of these modules, what comes out, and which
    tokens are real."""
    mask = torch.empty(0)
    hooks = [
        module.register_forward_hook(lambda _, given, found, place=place: note(place, given[0], found, mask))
        for place, module in modules.items()
    ]
    try:
        with torch.inference_mode():
            for batch in batches:
                mask = batch["attention_mask"].bool()
                model(**batch)
    finally:
        for hook in hooks:
            hook.remove()


def _cut(model: Any, cuts: Cuts, changes: dict[str, int]) -> Any:
    """A model of the same class with less of these parameters, and a configuration that says so."""
    weights = model.state_dict()
    for name, (dim, stay) in cuts.items():
        if name in weights:  # a bias there may not be
            weights[name] = weights[name].index_select(dim, stay)
    config = model.config.__class__.from_dict({**model.config.to_dict(), **changes})
    smaller = type(model)._from_config(config, attn_implementation=model.config._attn_implementation)
    smaller.load_state_dict(weights)
    return smaller.eval()


def _padded(rows: Sequence[Sequence[int]], padding: int) -> Batch:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}
