"""What is taken out of texts, and that decoders and encoder-decoders learn from text without labels."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sluice.models.decoder import Decoder
from sluice.models.encoder_decoder import EncoderDecoder
from sluice.training.pretraining.objectives import take_out
from tests.model.pretraining import LENGTH, made

SIZES = {"vocabulary": 400, "hidden": 32, "layers": 1, "heads": 2, "feed_forward": 48}
MARKS, END = torch.arange(900, 950), 999


def put_back(given_ids: list[int], answer: list[int]) -> list[int]:
    """The text that marks and spans stand for."""
    spans: dict[int, list[int]] = {}
    for token in answer[:-1]:
        if token >= 900:
            last = spans.setdefault(token, [])
        else:
            last.append(token)
    return [token for one in given_ids for token in (spans[one] if one >= 900 else [one])]


@given(length=st.integers(4, 80), share=st.floats(0.05, 0.7), span=st.integers(1, 40), seed=st.integers(0, 1000))
def test_what_is_taken_out_can_be_put_back(length: int, share: float, span: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 800, (3, length), generator=generator)
    kept, answers = take_out(ids, share, span, MARKS, END, generator)
    for one, own, answer in zip(ids.tolist(), kept.tolist(), answers.tolist(), strict=True):
        assert put_back(own, answer) == one
        assert answer[-1] == END
        assert len([token for token in answer if token < 900]) == max(1, round(share * length))


BOTH = pytest.mark.parametrize(
    ("objective", "spec"),
    [
        ("causal", Decoder(**SIZES, key_value_heads=1, context=64)),
        ("spans", EncoderDecoder(**SIZES, decoder_layers=1, dropout=0.1)),
    ],
    ids=["causal", "spans"],
)


class CutOffError(Exception):
    """Ends a pretraining in the middle."""


@BOTH
def test_one_that_is_cut_off_goes_on_to_the_same_weights(objective: str, spec, tmp_path: Path):
    def cut(values: dict[str, float], step: int) -> None:
        if step >= 20:
            raise CutOffError

    plain = {"spec": spec, "objective": objective, "evaluations": 5}
    whole = made(tmp_path / "whole", **plain)
    with pytest.raises(CutOffError):
        made(tmp_path / "cut", log=cut, **plain)
    resumed = made(tmp_path / "cut", **plain)
    assert resumed["resumed_from"]
    assert resumed["digest"] == whole["digest"]


@BOTH
def test_it_learns_from_text(objective: str, spec, tmp_path: Path):
    losses: list[float] = []

    def log(values: dict[str, float], step: int) -> None:
        losses.extend(value for name, value in values.items() if name == "validation/loss")

    record = made(tmp_path, spec=spec, log=log, objective=objective, max_steps=60, mask_share=0.15)
    assert record["sequence_length"] == LENGTH
    assert losses[-1] < losses[0]
    assert record["held_out"]["loss"] < 5.0


def test_hiding_one_token_at_a_time_is_easier_than_many(tmp_path: Path):
    record = made(tmp_path, max_steps=60)
    assert 1 < record["held_out"]["pseudo_perplexity"] < record["held_out"]["perplexity"]
