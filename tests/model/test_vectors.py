"""Vectors: toy pairs found and toy scores followed, right passages that are no wrong ones, opened by others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.encoder import Encoder
from sluice.tasks.embedding import Embedding, rankings
from sluice.tasks.similarity import Similarity
from sluice.tasks.vectors import VectorOptions
from tests.model.learning import learn
from tests.model.test_seq2seq import make_rows

SPEC = Encoder(vocabulary=400, hidden=32, layers=1, heads=2, feed_forward=48, embedding_dropout=0)
SEARCH = Embedding(max_length=32, hard_negatives=1, matryoshka=(8, 16))
ALIKE = Similarity(max_length=32)


def pairs(count: int, seed: int = 0) -> dict[str, list[str]]:
    """A question names a thing, a passage is about it."""
    rows = make_rows(count, seed)
    things = [cell.partition("\n")[0].removeprefix("about the ") for cell in rows["summary"]]
    kinds = ["all that is known of", "what people say of", "where to find"]
    passages = [f"{kinds[at % 3]} the {thing}" for at, thing in enumerate(things)]
    return {"query": rows["document"], "passage": passages}


def scored(count: int, seed: int = 0) -> dict[str, list[str]]:
    one, other = make_rows(count, seed), make_rows(count, seed + 1)
    alike = [str(float(a == b) * 5) for a, b in zip(one["summary"], other["summary"], strict=True)]
    return {"text_a": one["document"], "text_b": other["document"], "score": alike}


def learnt(task: Embedding | Similarity, make, folder: Path) -> Path:
    """A bundle that learnt a toy task."""
    plain = {"label_smoothing": 0.0, "token_dropout": 0.0, "learning_rate": 5e-3, "batch_size": 16}
    fitted, bundle = learn(task, SPEC, make(256), make(60, seed=5), folder, **plain)
    assert fitted.best > 0.5
    return bundle


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(SEARCH, pairs, tmp_path_factory.mktemp("finder"))


def test_it_finds_what_answers(finder: Path):
    rows = pairs(60, seed=5)
    outputs = SEARCH.observe(Predictor(finder, TorchEngine()).outputs, rows)
    figures = SEARCH.metrics(outputs, [], SEARCH.references(rows))
    drawn = SEARCH.baselines(pairs(256), rows).trivial["random"]
    assert figures["ndcg_10"] > 0.6  # three passages are about each thing
    assert figures["ndcg_10"] > SEARCH.tally(drawn, SEARCH.references(rows), []).exact()["ndcg_10"] + 0.2
    shown = SEARCH.spelt(SEARCH.predictions(outputs, []), rows)
    assert set(shown) <= set(rows["passage"])


def test_sentence_transformers_opens_it(finder: Path):
    from sentence_transformers import SentenceTransformer

    texts = ["two of the old boat", "where to find the mill", "here"]
    ours = np.array([one.embedding for one in Predictor(finder, TorchEngine()).predict(texts).results])
    theirs = SentenceTransformer(str(finder), device="cpu").encode(texts)
    assert np.allclose(ours, theirs, atol=1e-5)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours_and_may_be_cut(finder: Path):
    predictor = Predictor(finder, TorchEngine())
    texts = [*pairs(10, seed=3)["query"], "", "the old mill " * 30]
    together = np.array([one.embedding for one in predictor.predict(texts).results])
    alone = np.array([predictor.predict([text]).results[0].embedding for text in texts])
    assert np.allclose(together, alone, atol=1e-5)
    (short,) = predictor.predict(texts[:1], VectorOptions(dimensions=8)).results
    cut = together[0][:8] / np.linalg.norm(together[0][:8])
    assert np.allclose(short.embedding, cut, atol=1e-5)


def test_right_passages_of_others_do_not_count_as_wrong():
    task = Embedding(max_length=32)
    queries = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    passages = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    names, targets = torch.tensor([[0, 5], [1, 5], [0, 6]]), torch.tensor([5, 5, 6])
    found = task.losses((queries, passages, names), targets, 0.0)
    similar = queries @ passages.T / task.temperature
    # Row 0 shares its passage with row 1 and its query with row 2: nothing wrong is left. Row 1 has row 2's.
    wanted = [0.0, torch.logsumexp(similar[1, [1, 2]], 0) - similar[1, 1]]
    wanted.append(torch.logsumexp(similar[2, [1, 2]], 0) - similar[2, 2])
    assert found.tolist() == pytest.approx([float(one) for one in wanted], abs=1e-5)


def test_hard_negatives_are_never_right():
    rows = pairs(40)
    tokenizer = SPEC.tokenizer(SEARCH.corpus(rows), 32)
    for beside, right in zip(SEARCH.beside(tokenizer, rows), SEARCH.references(rows), strict=True):
        _, own, negative = beside[0]
        assert own in right
        assert negative not in right


def test_rows_with_one_query_are_one_question():
    rows = {"query": ["Find it", "find  it", "other"], "passage": ["b", "a\nc", "d"]}
    assert Embedding().references(rows) == [[0, 1, 2], [0, 1, 2], [3]]


def test_rankings_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    queries, passages = rng.normal(size=(7, 4)), rng.normal(size=(30, 4))
    assert (rankings(queries, passages) == (-(queries @ passages.T)).argsort(axis=1)).all()


def test_cosines_follow_scores(tmp_path: Path):
    bundle = learnt(ALIKE, scored, tmp_path)
    rows = scored(60, seed=5)
    outputs = ALIKE.observe(Predictor(bundle, TorchEngine()).outputs, rows)
    figures = ALIKE.metrics(outputs, [], ALIKE.references(rows))
    from scipy.stats import spearmanr

    assert figures["spearman"] == pytest.approx(spearmanr(outputs, ALIKE.references(rows)).statistic, abs=1e-4)
    assert figures["spearman"] > 0.5
    assert ALIKE.unusable({**rows, "score": ["x", "nan", *rows["score"][2:]]}) == {"score_is_no_number": [0, 1]}
