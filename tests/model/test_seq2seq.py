"""An encoder-decoder: a toy task learnt, answers that stop and do not depend on their neighbours."""

import random
from pathlib import Path

import pytest

from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models import encoder_decoder
from sluice.models.encoder_decoder import EncoderDecoder
from sluice.tasks.seq2seq import Seq2SeqOptions, Summarization
from tests.model.learning import learn

TASK = Summarization(max_length=32, max_new_tokens=8)
SPEC = EncoderDecoder(
    vocabulary=400, hidden=48, layers=1, decoder_layers=1, heads=2, feed_forward=64, dropout=0.0
)  # fmt: skip
THINGS = ["gate", "river", "boat", "lock", "bridge", "mill"]


def make_rows(count: int, seed: int = 0) -> dict[str, list[str]]:
    """The summary of a text is the thing that it names."""
    rng = random.Random(seed)
    rows: dict[str, list[str]] = {"document": [], "summary": []}
    for _ in range(count):
        thing = rng.choice(THINGS)
        words = rng.choices(["the", "old", "new", "of", "two", "here"], k=rng.randint(2, 12))
        words.insert(rng.randint(0, len(words)), thing)
        rows["document"].append(" ".join(words))
        rows["summary"].append(f"about the {thing}\na {thing}")
    return rows


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learnt the toy task."""
    plain = {"label_smoothing": 0.0, "token_dropout": 0.0}
    fitted, bundle = learn(
        TASK, SPEC, make_rows(256), make_rows(40, seed=1), tmp_path_factory.mktemp("writer"),
        learning_rate=1e-2, epochs=12, evaluations=2, **plain,
    )  # fmt: skip
    assert fitted.best < 0.1
    return bundle


@pytest.fixture(scope="module")
def predictor(learnt: Path) -> Predictor:
    return Predictor(learnt, TorchEngine())


def test_it_writes_what_it_learnt(predictor: Predictor):
    rows = make_rows(40, seed=1)
    outputs = predictor.outputs(TASK.inputs(rows))
    figures = TASK.metrics(outputs, [], TASK.references(rows))
    assert figures["rouge_l"] > 0.95
    assert figures["finished"] == 1.0
    exact = TASK.tally(TASK.predictions(outputs, []), TASK.references(rows), []).exact()
    assert exact["rouge_l"] == pytest.approx(figures["rouge_l"])


def test_an_answer_does_not_depend_on_its_neighbours(predictor: Predictor):
    texts = [*make_rows(20, seed=2)["document"], "", "the old mill " * 30]
    together = [result.text for result in predictor.predict(texts).results]
    alone = [predictor.predict([text]).results[0].text for text in texts]
    assert together == alone


def test_it_stops_where_it_is_told(predictor: Predictor):
    (short,) = predictor.predict(["the old gate here"], Seq2SeqOptions(max_new_tokens=2)).results
    assert not short.finished
    assert short.text == "about the"
    (beams,) = predictor.predict(["the old gate here"], Seq2SeqOptions(num_beams=3)).results
    assert (beams.text, beams.finished, beams.truncated) == ("about the gate", True, False)
    (long,) = predictor.predict(["the old gate " * 30]).results
    assert long.truncated


def test_no_more_is_written_than_the_model_has_places_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoder_decoder, "LONGEST", 8)
    tokenizer = SPEC.tokenizer(TASK.corpus(make_rows(20)), 8)
    model = SPEC.model(TASK.model_class(), [], tokenizer, []).eval()
    model.generation_config.eos_token_id = None  # goes on for as long as it may
    batch = tokenizer(["the old gate"], return_tensors="pt")
    assert TASK.forward(model, dict(batch), Seq2SeqOptions(max_new_tokens=64)).shape == (1, 1 + 8)


def test_others_open_it(learnt: Path):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(learnt), AutoModelForSeq2SeqLM.from_pretrained(learnt)
    ids = model.generate(**tokenizer("two of the old boat", return_tensors="pt"), max_new_tokens=8)
    assert tokenizer.decode(ids[0], skip_special_tokens=True).strip() == "about the boat"


def test_the_loss_counts_every_token_of_an_answer_once():
    import torch

    logits, targets = torch.randn(2, 3, 7), torch.tensor([[1, 2, -100], [3, -100, -100]])
    kept = TASK.keep(logits[targets != -100], targets).numpy()
    wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    figures = TASK.validation_figures(kept, [], [], [], None)
    assert figures["nats_per_token"] == pytest.approx(wanted.item(), rel=1e-5)
    assert kept[:, 2].tolist() == [2, 1]
