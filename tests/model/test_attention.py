"""Attention and dropout as trainings compute them: quicker, and the same."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from sluice.training.attention import quickened
from sluice.training.dropout import quick_dropout


def test_quick_dropout_drops_the_share_and_keeps_the_mean():
    torch.manual_seed(0)
    for share in (0.0, 0.1, 0.5, 0.999):
        dropped = quick_dropout(torch.ones(1000, 999), share)
        assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=1 / 256)
        assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    values = torch.ones(64, 64, requires_grad=True)
    dropped = quick_dropout(values, 0.5)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped), "the gradient passes where the value passed"


def test_quickened_attention_keeps_the_distances_of_an_encoder_decoder():
    torch.manual_seed(0)
    config = T5Config(vocab_size=50, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config).eval()
    for module in model.modules():
        if getattr(module, "has_relative_attention_bias", False):
            module.relative_attention_bias.weight.data.mul_(20)
    ids = torch.randint(1, 50, (2, 12))
    batch = {"input_ids": ids, "attention_mask": torch.tensor([[1] * 12, [1] * 7 + [0] * 5]), "labels": ids}
    with torch.no_grad():
        exact = model(**batch).logits
        with torch.autocast("cpu", torch.bfloat16):
            plain = model(**batch).logits
            with quickened(model, "bf16"):
                quick = model(**batch).logits
    assert (quick - exact).abs().max() < 2 * (plain - exact).abs().max()
