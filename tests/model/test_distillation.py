"""Students: layers taken from a model that has learnt, and what they learn from it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sluice.compression.settings import Student
from sluice.errors import UserError
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.encoder import Encoder
from sluice.models.fewer import FewerLayers, Reshaped, layer_stack, spaced
from sluice.models.spec import ModelSpec
from sluice.tasks.classification import Classification
from sluice.tasks.embedding import Embedding
from sluice.tasks.multilabel import Multilabel
from sluice.tasks.regression import Regression
from sluice.tasks.similarity import Similarity
from sluice.tasks.task import IGNORED, Columns, Task
from sluice.tasks.token_classification import TokenClassification
from sluice.training.distillation import Teacher, heard
from tests.conftest import make_rows
from tests.model import test_decoders as decoders
from tests.model import test_seq2seq as seq2seq
from tests.model.learning import learn
from tests.model.test_multilabel import make_rows as labelled
from tests.model.test_regression import make_rows as rated
from tests.model.test_token_classification import make_rows as tagged
from tests.model.test_vectors import pairs, scored

DEEP = Encoder(vocabulary=400, hidden=32, layers=4, heads=2, feed_forward=48, embedding_dropout=0, classifier_dropout=0)
TASK = Classification(max_length=32)


def classified(count: int, seed: int = 0) -> Columns:
    texts, labels = zip(*make_rows(count, seed), strict=True)
    return {"text": list(texts), "label": list(labels)}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of four layers that knows the toy task."""
    return learn(TASK, DEEP, classified(256), classified(40, 1), tmp_path_factory.mktemp("teacher"))[1]


@pytest.mark.parametrize(
    ("total", "count", "kept"),
    [(6, 3, [0, 2, 5]), (12, 6, [0, 2, 4, 7, 9, 11]), (4, 1, [0]), (2, 1, [0]), (4, 2, [0, 3])],
)
def test_the_first_and_the_last_layer_stay(total: int, count: int, kept: list[int]):
    assert spaced(total, count) == kept


def test_a_student_begins_with_the_weights_of_its_layers(taught: Path):
    spec = FewerLayers(path=str(taught), layers=2)
    tokenizer = spec.tokenizer([], 32)
    whole = TorchEngine().model(taught, TASK)
    labels = [whole.config.id2label[at] for at in range(whole.config.num_labels)]
    student = spec.model(TASK.model_class(), labels, tokenizer, [])
    ours, theirs, stack = student.state_dict(), whole.state_dict(), layer_stack(whole)
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name.replace(f"{stack}.1.", f"{stack}.3.")])
    assert student.config.layer_types == [whole.config.layer_types[at] for at in (0, 3)]
    bare = spec.bare(TASK.model_class(), labels, tokenizer)
    assert sum(one.numel() for one in bare.parameters()) == sum(one.numel() for one in student.parameters())
    with pytest.raises(UserError, match=r"layers=4: .* has 4, expected fewer"):
        FewerLayers(path=str(taught), layers=4).model(TASK.model_class(), labels, tokenizer, [])


def test_a_model_of_two_stacks_has_no_one_to_take_from():
    tokenizer = seq2seq.SPEC.tokenizer(["a b c"], 32)
    with pytest.raises(UserError, match=r"stacks of \d layers, expected one"):
        layer_stack(seq2seq.SPEC.model(seq2seq.TASK.model_class(), [], tokenizer, []))


def test_a_student_learns_from_its_teacher_without_any_right_answer(taught: Path, tmp_path: Path):
    """Labels that are drawn at random teach nothing: what it knows afterwards, it has from the teacher."""
    rows, unseen = classified(256, 2), classified(60, 3)
    mixed = {**rows, "label": list(np.random.default_rng(0).permutation(rows["label"]))}
    before = (taught / "model.safetensors").read_bytes()
    spec = FewerLayers(path=str(taught), layers=1)
    alike = {}
    for share in (0.0, 1.0):
        teacher = Teacher(taught, Student(share=share, hidden=share))
        _, bundle = learn(
            TASK, spec, mixed, unseen, tmp_path / str(share), teacher=teacher, token_dropout=0.0, learning_rate=1e-3
        )
        ours, theirs = (Predictor(one, TorchEngine()).outputs(unseen["text"]) for one in (bundle, taught))
        alike[share] = TASK.agreement(ours, theirs, TASK.labels(rows))
    assert alike[1.0] > 0.95
    assert alike[0.0] < 0.8
    assert (taught / "model.safetensors").read_bytes() == before


def test_states_are_heard_in_the_order_of_the_layers(taught: Path):
    model = TorchEngine().model(taught, TASK)
    batch = {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    with heard(model, [0, 3]) as found, torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states
    assert torch.equal(found[0], states[1])
    assert found[1].shape == states[4].shape
    model(**batch)
    assert len(found) == 2


LESSONS: dict[str, tuple[Task, Any, Columns]] = {
    "classification": (TASK, DEEP, classified(12)),
    "token_classification": (TokenClassification(max_length=32), DEEP, tagged(12)),
    "multilabel": (Multilabel(max_length=32), DEEP, labelled(12)),
    "regression": (Regression(max_length=32), DEEP, rated(12)),
    "embedding": (Embedding(max_length=32), DEEP, pairs(12)),
    "similarity": (Similarity(max_length=32), DEEP, scored(12)),
    "chat": (decoders.CHAT, decoders.SPEC, decoders.make_rows(12)),
    "summarization": (seq2seq.TASK, seq2seq.SPEC, seq2seq.make_rows(12)),
}


@pytest.mark.parametrize("name", LESSONS)
def test_what_a_teacher_says_is_no_way_off_itself_and_some_way_off_another(name: str):
    from sluice.training.rows import Rows

    task, spec, columns = LESSONS[name]
    labels = task.labels(columns)
    tokenizer = spec.tokenizer(task.corpus(columns), task.max_length)
    rows = Rows.of(task, tokenizer, columns, labels)
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = spec.model(task.model_class(), task.head(labels), tokenizer, rows.ids)
        task.begin(model, columns)
        batch = task.collator(tokenizer, model, 8)([rows.dataset()[at] for at in range(8)])
        targets = batch.pop("labels")
        with torch.no_grad():
            found.append(task.scores(model.eval(), dict(batch), targets))
            size = task.losses(found[-1], targets, 0.0).shape
    same, others = task.apart(found[0], found[0], targets, 2.0), task.apart(*found, targets, 2.0)
    assert same.shape == others.shape == size
    assert same.abs().max() < 1e-5
    assert others.min() > -1e-6
    assert others.sum() > 1e-4
    if others.shape == targets.flatten().shape and name != "embedding":
        assert (others[targets.flatten() == IGNORED] == 0).all()


@pytest.mark.parametrize("name", LESSONS)
def test_every_task_can_be_taught_from_a_saved_bundle(name: str, tmp_path: Path):
    task, spec, columns = LESSONS[name]
    plainly: dict[str, Any] = {"epochs": None, "max_steps": 2, "batch_size": 6}
    _, bundle = learn(task, spec, columns, columns, tmp_path / "teacher", **plainly)
    stacked = name == "summarization"  # two stacks, of which none can be taken
    student: ModelSpec = spec if stacked else FewerLayers(path=str(bundle), layers=1)
    said = Student(hidden=0.0 if stacked else 1.0)
    fitted, _ = learn(task, student, columns, columns, tmp_path / "student", teacher=Teacher(bundle, said), **plainly)
    assert fitted.steps == 2
    assert all(torch.isfinite(one).all() for one in fitted.model.parameters())


def test_a_teacher_of_numbers_says_the_scores_themselves(tmp_path: Path):
    task, spec, columns = LESSONS["regression"]
    _, bundle = learn(task, spec, columns, columns, tmp_path, epochs=None, max_steps=2)
    predictor = Predictor(bundle, TorchEngine())
    teacher = Teacher(bundle, Student()).model(task, torch.device("cpu"))
    (encoded,) = predictor.encode(columns["text"][:1])
    batch = {
        "input_ids": torch.tensor([encoded.ids]),
        "attention_mask": torch.ones(1, len(encoded.ids), dtype=torch.long),
    }
    said = task.scores(teacher, batch, torch.zeros(1))[0, 0]
    assert float(said) == pytest.approx(float(predictor.compute([encoded])[0][0]), rel=1e-4)


def test_new_weights_in_another_shape_keep_the_tokenizer_and_start_from_the_rows(taught: Path):
    spec = Reshaped(path=str(taught), config={"num_hidden_layers": 1, "hidden_size": 16})
    tokenizer = spec.tokenizer([], 32)
    ids = [tokenizer(text)["input_ids"] for text in classified(40)["text"]]
    model = spec.model(TASK.model_class(), ["a", "b"], tokenizer, ids)
    assert (model.config.num_hidden_layers, model.config.hidden_size, model.config.vocab_size) == (
        1,
        16,
        len(tokenizer),
    )
    assert model.config.num_labels == 2
    with pytest.raises(UserError, match=r"depth.*has no such setting"):
        Reshaped(path=str(taught), config={"depth": 3}).model(TASK.model_class(), ["a"], tokenizer, ids)
