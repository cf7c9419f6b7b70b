"""What a correct pretraining does: streams, hides what it should, learns, and goes on after a kill."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sluice.errors import UserError
from sluice.models.checkpoint import Checkpoint
from sluice.models.encoder import Encoder
from sluice.training.pretraining.pretrain import MODEL, UNDER_WAY
from sluice.training.pretraining.settings import Pretrain
from tests.conftest import FILLER, REPOSITORY, compose_config
from tests.model.pretraining import KILLED, LENGTH, SPEC, TEXTS, listed, made, opened, weights


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory):
    """The folder and the record of the toy pretraining."""
    folder = tmp_path_factory.mktemp("pretrained")
    return folder, made(folder)


def test_the_folder_is_a_plain_masked_language_model(pretrained):
    from transformers import AutoTokenizer, pipeline

    folder, record = pretrained
    assert opened(folder).config.sparse_prediction is False
    tokenizer = AutoTokenizer.from_pretrained(folder / MODEL)
    assert tokenizer.model_max_length == LENGTH
    answer = pipeline("fill-mask", model=str(folder / MODEL))(f"the old {tokenizer.mask_token} iron and tin")
    assert answer[0]["score"] > 0
    assert record["tokens_seen"] == 30 * 8 * LENGTH
    assert record["documents"] == len(TEXTS)


def test_it_starts_at_chance_and_learns_what_can_be_guessed(tmp_path: Path):
    """Each document says one word over and over, so that a hidden one follows from those around it."""
    record = made(tmp_path, listed([" ".join([word] * 40) for word in FILLER] * 20), max_steps=120)
    (_, first), *_ = record["curve"]
    assert first == pytest.approx(math.log(300), abs=0.7)
    held_out = record["held_out"]
    assert held_out["accuracy"] > 0.9
    assert held_out["loss"] < 0.5
    assert held_out["perplexity"] == pytest.approx(math.exp(held_out["loss"]))


def test_the_same_seed_gives_the_same_folder_and_another_does_not(pretrained, tmp_path: Path):
    _, record = pretrained
    assert made(tmp_path / "again")["digest"] == record["digest"]
    assert made(tmp_path / "other", seed=1)["digest"] != record["digest"]


def test_near_duplicates_are_left_out_of_a_corpus_where_asked(pretrained, tmp_path: Path):
    again = [f"{text}!" for text in TEXTS]
    record = made(tmp_path, listed([*TEXTS, *again]), near_duplicates="drop", max_steps=2)
    gone = record["left_out"]["near_duplicate"]
    assert gone >= len(TEXTS)
    assert record["documents"] == 2 * len(TEXTS) - gone


def test_hidden_tokens_are_the_share_asked_for_in_every_sequence_and_never_special():
    import torch

    from sluice.tasks.task import IGNORED
    from sluice.training.pretraining.loss import hide

    torch.manual_seed(0)
    ids = torch.randint(5, 100, (50, 40))
    ids[:, ::7] = 2
    hidden, labels = hide(ids, share=0.3, mask=4, special=[0, 1, 2, 3, 4])
    assert (hidden == 4).sum(dim=1).tolist() == [12] * 50
    assert not (hidden[:, ::7] == 4).any()
    assert torch.equal(labels != IGNORED, hidden == 4)
    assert torch.equal(torch.where(labels == IGNORED, hidden, labels), ids)
    assert 0.2 < (hidden[:, 1] == 4).float().mean() < 0.5  # any place may be hidden
    only_special, none = hide(torch.full((1, 8), 2), share=0.3, mask=4, special=[2])
    assert torch.equal(only_special, torch.full((1, 8), 2))
    assert (none == IGNORED).all()


def test_the_loss_is_cross_entropy_and_so_is_its_gradient():
    import torch

    from sluice.training.pretraining.loss import masked_loss

    torch.manual_seed(0)
    logits = (3 * torch.randn(6, 5, 50)).requires_grad_()
    labels = torch.randint(50, (6, 5)).masked_fill(torch.rand(6, 5) < 0.6, -100)
    expected = torch.nn.functional.cross_entropy(logits.view(-1, 50), labels.view(-1))
    (wanted,) = torch.autograd.grad(2 * expected, logits)
    loss = masked_loss(logits, labels, vocab_size=50)
    (found,) = torch.autograd.grad(2 * loss, logits)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(found, wanted, atol=1e-6)
    rough = masked_loss(logits.bfloat16(), labels)
    assert rough.item() == pytest.approx(expected.item(), rel=0.02)


def test_scores_of_hidden_tokens_alone_give_the_same_loss(pretrained):
    """`sparse_prediction` is what makes a step cheap: it has to be in force, and to change nothing else."""
    import torch

    from sluice.training.pretraining.loss import hide, masked_loss

    model = opened(pretrained[0])
    ids, labels = hide(torch.randint(5, 300, (4, 16)), share=0.3, mask=4, special=[0, 1, 2, 3, 4])
    dense = model(input_ids=ids, labels=labels)
    model.sparse_prediction, model.loss_function = True, masked_loss
    sparse = model(input_ids=ids, labels=labels)
    assert dense.logits.shape[:2] == (4, 16)
    assert sparse.logits.shape[0] == (labels != -100).sum()
    assert sparse.loss.item() == pytest.approx(dense.loss.item(), rel=1e-5)


def test_a_killed_pretraining_goes_on_to_the_same_weights(tmp_path: Path):
    import torch

    whole = made(tmp_path / "whole", **KILLED)
    threads = str(torch.get_num_threads())  # bits depend on it, and a test before this one may have set it
    code = "import sys; from tests.model.pretraining import *; made(Path(sys.argv[1]), log=slowly, **KILLED)"
    victim = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "cut")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": threads},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cut/checkpoints/checkpoint-*/whole")):
        assert victim.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    resumed = made(tmp_path / "cut", **KILLED)
    assert 0 < resumed["resumed_from"] < 60
    assert np.array_equal(weights(opened(tmp_path / "whole")), weights(opened(tmp_path / "cut")))
    assert resumed["curve"] == whole["curve"]


def test_a_fine_tuning_starts_from_it_with_its_own_dropouts(pretrained):
    from transformers import AutoModelForSequenceClassification

    folder, _ = pretrained
    spec = SPEC.model_copy(update={"embedding_dropout": 0.25, "classifier_dropout": 0.15}).pretrained(folder / MODEL)
    model = spec.model(AutoModelForSequenceClassification, ["fruit", "metal"], spec.tokenizer([], LENGTH), [])
    read = opened(folder)
    for name, parameter in read.model.named_parameters():
        assert np.array_equal(parameter.detach(), model.model.get_parameter(name).detach()), name
    assert np.array_equal(read.head.dense.weight.detach(), model.head.dense.weight.detach())
    assert model.model.embeddings.drop.p == 0.25
    assert model.drop.p == 0.15
    assert model.config.label2id == {"fruit": 0, "metal": 1}
    assert model.config._attn_implementation == "eager"


def test_what_pretraining_does_not_depend_on_is_not_in_its_backbone():
    same = Encoder(**{**SPEC.model_dump(), "embedding_dropout": 0.1, "classifier_dropout": 0.4})
    assert same.backbone().digest() == SPEC.backbone().digest()
    for name in ("vocabulary", "hidden", "feed_forward"):
        assert SPEC.model_copy(update={name: 999}).backbone().digest() != SPEC.backbone().digest()


@pytest.mark.parametrize("kind", ["modernbert", "bert"])
def test_a_checkpoint_reads_on(pretrained, tmp_path: Path, kind: str):
    """Any masked language model: one that cannot leave out scores, too."""
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    path = pretrained[0] / MODEL
    if kind == "bert":
        path = tmp_path / "bert"
        tokenizer = AutoTokenizer.from_pretrained(pretrained[0] / MODEL)
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
        BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(path)
        tokenizer.save_pretrained(path)
    spec = Checkpoint(path=str(path))
    record = made(tmp_path / "more", spec=spec, max_steps=10)
    assert record["digest"] != pretrained[1]["digest"]
    start, end = weights(spec.model(*_masked(), spec.tokenizer([], LENGTH), [])), weights(opened(tmp_path / "more"))
    assert start.shape == end.shape
    assert not np.array_equal(start, end)
    assert spec.pretrained(tmp_path / "more" / MODEL).fingerprint() == record["digest"]


def _masked():
    from transformers import AutoModelForMaskedLM

    return AutoModelForMaskedLM, []


def test_passes_over_the_corpus_instead_of_steps():
    from sluice.training.pretraining.trainer import total_steps

    assert total_steps(Pretrain(max_steps=7), 1000) == 7
    assert total_steps(Pretrain(epochs=1.5, batch_size=16), 1000) == 94


def test_too_little_text_is_the_users_to_mend(tmp_path: Path):
    with pytest.raises(UserError, match=r"less than one sequence of 32 tokens .*pretrain=none"):
        made(tmp_path, listed(["one short text"]))


def test_the_yaml_says_what_the_class_says():
    assert compose_config("pretrain=mlm").pretrain == Pretrain()
    assert compose_config().pretrain == Pretrain(enabled=False)
    assert compose_config("pretrain=mlm", "pretrain.corpus=a/*.txt").pretrain.patterns == ("a/*.txt",)
    assert compose_config("pretrain=mlm", "pretrain.corpus=[a,b]").pretrain.patterns == ("a", "b")


@pytest.mark.slow
@pytest.mark.thorough
def test_one_pretraining_serves_several_fine_tunings(tmp_path: Path, rows_csv: Path):
    from sluice.registry.store import Store
    from tests.e2e.conftest import House

    house = House(tmp_path / "mlruns", rows_csv)
    corpus = tmp_path / "more.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    choices = ["pretrain=mlm", f"pretrain.corpus={corpus}"]
    told = house("train", *choices)
    assert re.search(r"\[pretrain\] done", told)
    assert re.search(r"left out  held_out_text \d+", told)  # both files have these texts
    for changes in (["train.learning_rate=1e-3"], ["model.embedding_dropout=0.1"], ["seed=1"]):
        told = house("train", *choices, *changes)
        assert "[pretrain] unchanged" in told
        assert "[finetune] done" in told
    told = house("train", *choices, "pretrain.max_steps=19")
    assert "[pretrain] done" in told
    corpus.write_text(json.dumps({"text": "another text"}) + "\n" + corpus.read_text())
    told = house("train", *choices)
    assert "[pretrain] done" in told
    records = [json.loads(path.read_text())["record"] for path in house.root.glob("work/pretrain/*/manifest.json")]
    bundles = [json.loads(path.read_text()) for path in house.root.glob("work/register/*/bundle/bundle.json")]
    assert len(records) == 3
    assert not [path for name in UNDER_WAY for path in house.root.glob(f"work/pretrain/*/{name}")]
    assert len(bundles) == 6
    digests = Counter(bundle["lineage"]["pretraining"] for bundle in bundles)
    assert sorted(digests.values()) == [1, 1, 4]
    assert set(digests) == {record["digest"] for record in records}
    store = Store(house.root, None)
    runs = store.client.search_runs([store.experiment("demo")], "tags.mlflow.runName = 'finetune'")
    assert Counter(run.data.tags["sluice.pretraining"] for run in runs) == digests
    house.close()
