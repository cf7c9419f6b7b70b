"""Models that are cut: what is left is what mattered, in a plain checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from sluice.compression.prune import prune
from sluice.compression.settings import Pruning
from sluice.errors import UserError
from sluice.inference.bundle import Bundle, Lineage
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.decoder import Decoder
from sluice.models.encoder import Encoder
from sluice.tasks.classification import Classification
from sluice.tasks.generation import CausalLM
from tests.conftest import make_rows
from tests.model.learning import learn
from tests.model.test_compression import KINDS, untrained

DEEP = Encoder(vocabulary=400, hidden=32, layers=4, heads=2, feed_forward=48, embedding_dropout=0, classifier_dropout=0)
TASK = Classification(max_length=32)
TEXTS = [text for text, _ in make_rows(100, 5)]
WHOLE = {"neurons": 1.0, "heads": 1.0}


def classified(count: int, seed: int = 0) -> dict[str, list[str]]:
    texts, labels = zip(*make_rows(count, seed), strict=True)
    return {"text": list(texts), "label": list(labels)}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of four layers that knows the toy task."""
    return learn(TASK, DEEP, classified(256), classified(40, 1), tmp_path_factory.mktemp("taught"))[1]


def outputs(folder: Path, model: Any) -> np.ndarray:
    tokens = Predictor(folder, TorchEngine()).encode(TEXTS)
    with torch.inference_mode():
        found = [model(input_ids=torch.tensor([one.ids])).logits[0] for one in tokens]
    return torch.stack(found).numpy()


def test_neurons_that_do_nothing_go_first(taught: Path, tmp_path: Path):
    """Half of the neurons are silenced; what is cut must be those, so that not one answer changes."""
    bundle = tmp_path / "bundle"
    model = TorchEngine().model(taught, TASK)
    silent = torch.randperm(48, generator=torch.Generator().manual_seed(0))[:24]
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.Wo.weight[:, silent] *= 1e-9
    model.save_pretrained(bundle)
    for path in taught.glob("token*"):
        (bundle / path.name).write_bytes(path.read_bytes())
    Bundle.read(taught).write(bundle)
    assert prune(bundle, TEXTS, Pruning(neurons=0.5), tmp_path / "cut") == {"layers": 4, "neurons": 24, "heads": 2}
    cut = AutoModelForSequenceClassification.from_pretrained(tmp_path / "cut").eval()
    assert cut.config.intermediate_size == 24
    assert np.allclose(outputs(bundle, cut), outputs(bundle, model), atol=1e-5)
    assert sum(one.numel() for one in cut.parameters()) < sum(one.numel() for one in model.parameters())


def test_layers_that_turn_nothing_go_first(taught: Path, tmp_path: Path):
    bundle = tmp_path / "bundle"
    model = TorchEngine().model(taught, TASK)
    with torch.no_grad():
        for place in (1, 3):
            model.model.layers[place].mlp.Wo.weight *= 1e-9
            model.model.layers[place].attn.Wo.weight *= 1e-9
    model.save_pretrained(bundle)
    for path in taught.glob("token*"):
        (bundle / path.name).write_bytes(path.read_bytes())
    Bundle.read(taught).write(bundle)
    assert prune(bundle, TEXTS, Pruning(**WHOLE, layers=2), tmp_path / "cut")["layers"] == 2
    cut = AutoModelForSequenceClassification.from_pretrained(tmp_path / "cut").eval()
    assert np.allclose(outputs(bundle, cut), outputs(bundle, model), atol=1e-5)


def test_heads_of_a_decoder_go_with_those_that_share_their_keys(tmp_path: Path):
    spec = Decoder(vocabulary=400, hidden=32, layers=2, heads=4, key_value_heads=2, feed_forward=48)
    task, bundle = CausalLM(max_length=32), tmp_path / "bundle"
    torch.manual_seed(0)
    tokenizer = spec.tokenizer(TEXTS, 32)
    model = spec.model(task.model_class(), [], tokenizer, []).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[:, 16:] *= 1e-9  # what the second pair of heads says is not heard
    model.save_pretrained(bundle)
    tokenizer.save_pretrained(bundle)
    lineage = Lineage(data="d", split="s", config="c", git="none")
    Bundle(task=task.name, fields=task.model_dump(), labels=(), lineage=lineage).write(bundle)
    left = prune(bundle, TEXTS, Pruning(neurons=1.0, heads=0.5), tmp_path / "cut")
    assert left == {"layers": 2, "neurons": 48, "heads": 2}
    cut = AutoModelForCausalLM.from_pretrained(tmp_path / "cut").eval()
    assert (cut.config.num_key_value_heads, cut.config.head_dim) == (1, 8)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.inference_mode():
        assert torch.allclose(cut(ids).logits, model(ids).logits, atol=1e-5)


def test_a_bert_is_cut_as_well(tmp_path: Path):
    bundle = untrained(KINDS["bert"], tmp_path)
    assert prune(bundle, TEXTS, Pruning(neurons=0.25), tmp_path / "cut")["neurons"] == 12
    assert AutoConfig.from_pretrained(tmp_path / "cut").intermediate_size == 12


def test_what_cannot_be_cut_says_why(taught: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"no place for fewer heads of the same width. .*compress.prune.heads=1"):
        prune(taught, TEXTS, Pruning(neurons=1.0, heads=0.5), tmp_path / "cut")
    with pytest.raises(UserError, match=r"compress.prune.layers=4: the model has 4, expected fewer"):
        prune(taught, TEXTS, Pruning(**WHOLE, layers=4), tmp_path / "cut")
