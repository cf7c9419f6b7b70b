"""A number for a text: learnt at any scale, saved in its own units, opened by those who did not make it."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import prepare
from sluice.data.sources.tabular import Files
from sluice.errors import UserError
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.metrics.regression import number_tally
from sluice.metrics.significance import Resampler, Sampling
from sluice.models.checkpoint import Checkpoint
from sluice.models.encoder import Encoder
from sluice.tasks.regression import Regression
from sluice.tasks.task import IGNORED
from tests.model.learning import learn

TASK = Regression(max_length=24)
SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48)
WORDS = {"awful": -2, "poor": -1, "good": 1, "superb": 2}
OTHERS = ["the", "plot", "was", "and", "music", "seemed", "quite", "to", "me", "then"]


def make_rows(count: int, seed: int = 0, mean: float = 2000.0, step: float = 150.0) -> dict[str, list[str]]:
    """Sentences of nine words with two that praise or blame; the score adds these up."""
    rng = random.Random(seed)
    rows: dict[str, list[str]] = {"text": [], "score": []}
    for _ in range(count):
        said = rng.choices([*WORDS], k=2)
        words = rng.sample(OTHERS, 7) + said
        rng.shuffle(words)
        rows["text"].append(" ".join(words))
        rows["score"].append(f"{mean + step * sum(WORDS[word] for word in said):g}")
    return rows


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learnt the toy task."""
    fitted, bundle = learn(
        TASK, SPEC, make_rows(384), make_rows(60, seed=1), tmp_path_factory.mktemp("regression"), epochs=8
    )
    assert fitted.best < 120  # of a deviation of 335
    return bundle


def test_scores_come_in_the_units_of_the_rows_and_in_any_order(learnt: Path):
    predictor, rows = Predictor(learnt, TorchEngine()), make_rows(60, seed=1)
    outputs = TASK.observe(predictor.outputs, rows)
    figures = TASK.metrics(outputs, [], TASK.references(rows))
    assert figures["r2"] > 0.85
    assert figures["rmse"] < 120
    scores = [result.score for result in predictor.predict(rows["text"]).results]
    assert scores == pytest.approx(TASK.predictions(outputs, []), abs=0.01)
    assert scores[::-1] == pytest.approx([one.score for one in predictor.predict(rows["text"][::-1]).results], abs=0.01)


def test_transformers_own_pipeline_opens_it_and_agrees(learnt: Path):
    from transformers import AutoConfig, pipeline

    texts = make_rows(5, seed=3)["text"]
    found = pipeline("text-classification", str(learnt))(texts)
    config = AutoConfig.from_pretrained(learnt)
    assert (config.problem_type, config.num_labels, config.id2label) == ("regression", 1, {0: "score"})
    assert not hasattr(config, "score_mean")
    scores = [result.score for result in Predictor(learnt, TorchEngine()).predict(texts).results]
    assert [one["score"] for one in found] == pytest.approx(scores, abs=0.01)


def test_a_saved_model_that_learns_on_begins_where_it_was(learnt: Path):
    spec, rows = Checkpoint(path=str(learnt)), make_rows(40, seed=4, mean=1000.0, step=10.0)
    tokenizer = spec.tokenizer([], 24)
    model = spec.model(TASK.model_class(), TASK.head([]), tokenizer, [])
    batch = {"input_ids": torch.tensor([tokenizer("the plot was good")["input_ids"]])}
    before = model.eval()(**batch).logits.item()
    TASK.begin(model, rows)
    assert TASK.scores(model, batch, None)[0].tolist() == pytest.approx(
        [before, model.config.score_deviation], rel=1e-3
    )
    TASK.finish(model)
    assert model(**batch).logits.item() == pytest.approx(before, rel=1e-3)


def test_the_loss_is_the_same_at_every_scale_and_a_score_that_means_ignored_counts():
    scores = torch.tensor([[3.0, 2.0], [10.0, 2.0]])
    assert TASK.losses(scores, torch.tensor([1.0, 10.0]), 0.1).tolist() == [1, 0]
    assert TASK.losses(scores * 1000, torch.tensor([1000.0, 10000.0]), 0.1).tolist() == [1, 0]
    targets = TASK.targets(None, [], {"text": ["a", "b"], "score": ["-100", "7"]}, [])  # type: ignore[arg-type]
    assert IGNORED not in targets.tolist()
    assert targets == pytest.approx([-100, 7], abs=1e-4)


def test_figures_are_those_of_scikit_learn_and_scipy():
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rng = np.random.default_rng(0)
    right = rng.normal(2000, 3, 50).round(1)
    said = right + rng.normal(0, 2, 50)
    assert TASK.metrics(said[:, None], [], right.tolist()) == pytest.approx(
        {
            "r2": r2_score(right, said),
            "spearman": spearmanr(right, said).statistic,
            "pearson": pearsonr(right, said).statistic,
            "mae": mean_absolute_error(right, said),
            "rmse": root_mean_squared_error(right, said),
        },
        rel=1e-4,
    )
    assert set(TASK.metrics(said[:3, None], [], [5.0] * 3)) == {"mae", "rmse"}
    assert TASK.grades([2.0, 4.0], [2.0, 6.0], []).tolist() == [1, 0]


def test_the_training_mean_can_be_beaten_although_it_orders_nothing():
    right, mean = [1.0, 2.0, 3.0, 4.0] * 10, [2.4] * 40
    assert number_tally(mean, right).exact() == pytest.approx({"r2": -0.008, "spearman": 0}, abs=1e-4)
    resampler = Resampler(40, Sampling(200, 0.95, 0))
    ours, theirs = number_tally([one + 0.1 for one in right], right), number_tally(mean, right)
    for metric in ("r2", "spearman"):
        assert resampler.differences(ours, theirs)[metric].low > 0.5
        assert resampler.p_values(ours, theirs)[metric] < 0.02


def test_baselines_are_the_mean_and_ridge_regression():
    train, test = make_rows(200), make_rows(50, seed=1)
    found = TASK.baselines(train, test)
    assert found.trivial["mean"] == [pytest.approx(np.mean(TASK.references(train)))] * 50
    assert number_tally(found.strong["tfidf_ridge"], TASK.references(test)).exact()["r2"] > 0.7


def test_scores_that_are_no_numbers_are_dropped_and_counted_and_equal_ones_refused(tmp_path: Path):
    rows = make_rows(100)
    cells = [f"{text},{score}\n" for text, score in zip(*rows.values(), strict=True)]
    odd = ["one more here,n/a\n", "another one,nan\n", "a third,inf\n", "a fourth,1e3\n", "a fifth,\n"]
    (tmp_path / "rows.csv").write_text("".join(["text,score\n", *cells, *odd]), encoding="utf-8")
    record = prepare(Files(name="x", train=str(tmp_path / "rows.csv")), TASK, tmp_path / "out", True, Checks())
    assert record["dropped"]["score_is_no_number"] == 3
    assert record["dropped"]["empty_score"] == 1
    assert record["labels"] == {}
    with pytest.raises(UserError, match="all 3 training rows have the score 2, expected different ones"):
        TASK.begin(None, {"text": ["a"] * 3, "score": ["2"] * 3})  # type: ignore[arg-type]
