"""What a training takes, told before it starts: counted right, refused where it cannot fit."""

from pathlib import Path

import pytest
import torch

from sluice.errors import UserError
from sluice.models.checkpoint import Checkpoint
from sluice.models.decoder import Decoder
from sluice.models.encoder import Encoder
from sluice.tasks.chat import Chat
from sluice.tasks.classification import Classification
from sluice.training import memory
from sluice.training.lora import adapted, merged, narrow
from sluice.training.rows import Rows
from sluice.training.settings import Lora, Train

SPEC = Decoder(vocabulary=300, hidden=64, layers=2, heads=2, key_value_heads=1, feed_forward=96, context=64)
TASK = Chat(max_length=32)
TEXTS = ["the old gate", "a new mill"]
HUGE = {"hidden": 8192, "layers": 80, "heads": 64, "key_value_heads": 8, "feed_forward": 28672}


def need(spec: Decoder, **settings) -> memory.Need:
    tokenizer = spec.tokenizer(TEXTS, 32)
    return memory.needed(spec.bare(TASK.model_class(), [], tokenizer), 1000, 1000, Train(**settings))


def test_weights_are_counted_without_making_them():
    tokenizer = SPEC.tokenizer(TEXTS, 32)
    real = sum(one.numel() for one in SPEC.model(TASK.model_class(), [], tokenizer, []).parameters())
    assert need(SPEC).weights == 4 * real
    assert need(SPEC).learning == 12 * real
    encoder = Encoder(vocabulary=300, hidden=32, layers=1, heads=2, feed_forward=48)
    made = encoder.tokenizer(TEXTS, 32)
    bare = encoder.bare(Classification().model_class(), ["a", "b"], made)
    assert all(one.is_meta for one in bare.parameters())


def test_adapters_are_counted_as_peft_makes_them():
    tokenizer = SPEC.tokenizer(TEXTS, 32)
    model = adapted(SPEC.model(TASK.model_class(), [], tokenizer, []), Lora(rank=4))
    made = sum(one.numel() for one in model.parameters() if one.requires_grad)
    told = need(SPEC, lora=Lora(rank=4), precision="bf16")
    assert told.learning == 12 * made
    narrow(model, "bf16")
    assert told.weights == sum(one.numel() * one.element_size() for one in model.parameters())


def test_adapters_are_added_in_full_precision():
    tokenizer = SPEC.tokenizer(TEXTS, 32)
    model = adapted(SPEC.model(TASK.model_class(), [], tokenizer, []), Lora(rank=4))
    narrow(model, "bf16")
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    layer.lora_B["default"].weight.data.normal_(std=1e-4)  # less than bf16 could add
    wanted = layer.base_layer.weight.float() + layer.get_delta_weight("default")
    found = merged(model).model.layers[0].mlp.up_proj.weight
    assert found.dtype == torch.float32
    assert torch.allclose(found, wanted, atol=1e-8)


def test_a_checkpoint_is_counted_by_its_configuration(tmp_path: Path):
    tokenizer = SPEC.tokenizer(TEXTS, 32)
    SPEC.model(TASK.model_class(), [], tokenizer, []).save_pretrained(tmp_path)
    spec = Checkpoint(path=str(tmp_path))
    assert need(SPEC).weights == memory.needed(spec.bare(TASK.model_class(), [], tokenizer), 1, 1, Train()).weights


def test_what_cannot_fit_is_refused_before_a_byte_of_it_is_taken():
    spec = SPEC.model_copy(update=HUGE)
    tokenizer = spec.tokenizer(TEXTS, 32)
    columns = {"prompt": TEXTS, "answer": TEXTS}
    rows = Rows.of(TASK, tokenizer, columns, [])
    with pytest.raises(UserError, match=r"takes about \d+\.\d GiB .*train.lora=.*gradient_checkpointing"):
        memory.check_memory(spec, TASK, [], tokenizer, rows, Train())


def test_large_weights_are_saved_in_shards(tmp_path: Path):
    from sluice.inference.bundle import bundle_digest

    tokenizer = SPEC.tokenizer(TEXTS, 32)
    model = SPEC.model(TASK.model_class(), [], tokenizer, [])
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again = TASK.model_class().from_pretrained(tmp_path)
    assert all((a == b).all() for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert len(bundle_digest(tmp_path)) == 64


def test_activations_grow_with_the_batch_and_shrink_where_they_are_computed_again():
    tokenizer = SPEC.tokenizer(TEXTS, 32)
    bare = SPEC.bare(TASK.model_class(), [], tokenizer)

    def kept(tokens: int, scored: int, **settings) -> int:
        return memory.needed(bare, tokens, scored, Train(precision="fp32", **settings)).activations

    assert kept(2000, 0) == 2 * kept(1000, 0) == 2 * 1000 * 64 * 2 * memory.KEPT
    assert kept(1000, 10) - kept(1000, 0) == 10 * len(tokenizer) * memory.SCORES
    assert kept(1000, 0, gradient_checkpointing=True) < kept(1000, 0)
