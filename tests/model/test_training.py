"""What a correct fine-tuning does: starts at chance, learns, repeats itself, and adds up its gradients right."""

import math
from pathlib import Path

import numpy as np
import pytest

from sluice.errors import UserError
from sluice.models.checkpoint import Checkpoint
from sluice.models.encoder import Encoder
from sluice.tasks.classification import Classification
from sluice.tasks.encoding import Encoded
from sluice.training.arguments import check_choices
from sluice.training.checkpoints import newest_whole
from sluice.training.fit import fit
from sluice.training.rows import Rows
from sluice.training.settings import Train
from sluice.training.trainer import drop_tokens, total_steps
from tests.conftest import make_rows

TASK = Classification(max_length=32)
SPEC = Encoder(
    vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48, embedding_dropout=0.0, classifier_dropout=0.0
)
PLAIN = {"label_smoothing": 0.0, "token_dropout": 0.0}
TEXTS = [text for text, _ in make_rows(96)]


@pytest.fixture(scope="module")
def setting():
    """A tokenizer, label names and encoded rows of the toy task."""
    rows = make_rows(96)
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    tokenizer = SPEC.tokenizer(columns["text"], TASK.max_length)
    labels = TASK.labels(columns)
    return tokenizer, labels, Rows.of(TASK, tokenizer, columns, labels)


def train(setting, folder: Path, spec=SPEC, log=None, **changes):
    """Fine-tune on the toy rows; returns what fit returned and the figures it reported, unless `log` takes them."""
    from transformers import set_seed

    tokenizer, labels, rows = setting
    set_seed(0)
    model = spec.model(TASK.model_class(), labels, tokenizer, rows.ids)
    figures: list[tuple[int, dict]] = []
    settings = Train.model_validate(
        {"learning_rate": 3e-3, "batch_size": 32, "precision": "fp32", "evaluations": 1, **PLAIN, **changes}
    )
    fitted = fit(
        model,
        tokenizer,
        TASK,
        rows,
        rows,
        labels,
        settings,
        seed=0,
        folder=folder,
        checkpoint=newest_whole(folder),
        log=log or (lambda values, step: figures.append((step, values))),
    )
    return fitted, figures


def weights(fitted) -> np.ndarray:
    return np.concatenate([p.detach().cpu().numpy().ravel() for p in fitted.model.parameters()])


def test_the_first_loss_is_that_of_guessing(setting, tmp_path: Path):
    _, figures = train(setting, tmp_path, max_steps=1, learning_rate=1e-9)
    first = next(values["train/loss"] for _, values in figures if "train/loss" in values)
    assert first == pytest.approx(math.log(3), abs=0.25)


def test_it_overfits_one_batch(setting, tmp_path: Path):
    tokenizer, labels, rows = setting
    one = rows.take(range(16))
    fitted, _ = train((tokenizer, labels, one), tmp_path, epochs=40, batch_size=16)
    assert fitted.best == 1.0


def test_the_same_seed_gives_the_same_weights(setting, tmp_path: Path):
    one, _ = train(setting, tmp_path / "one", max_steps=4)
    other, _ = train(setting, tmp_path / "other", max_steps=4)
    assert np.array_equal(weights(one), weights(other))


def test_accumulation_takes_the_same_steps_as_one_large_batch(setting, tmp_path: Path):
    """Without `model_accepts_loss_kwargs = False` the accumulated gradient is four times too large."""
    tokenizer, labels, rows = setting
    same_length = [index for index, row in enumerate(rows.ids) if len(row) == len(rows.ids[0])]
    some = rows.take(same_length[:8] * 4)
    plain = {"optimizer": "sgd", "learning_rate": 0.5, "epochs": 2, "warmup": 0.0}
    whole, figures = train((tokenizer, labels, some), tmp_path / "a", batch_size=32, **plain)
    parts, added = train((tokenizer, labels, some), tmp_path / "b", batch_size=8, accumulation=4, **plain)
    norms = [
        [values["train/grad_norm"] for _, values in run if "train/grad_norm" in values] for run in (figures, added)
    ]
    assert whole.steps == parts.steps == 2
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    assert np.allclose(weights(whole), weights(parts), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["encoder", "bert"])
def test_a_cut_off_training_goes_on_to_the_same_weights(setting, tmp_path: Path, precision: str, kind: str):
    """With everything that draws: batches, hidden tokens, dropout of embeddings, layers and attention weights."""

    class Cut(Exception):
        pass

    def cut(values: dict, step: int) -> None:
        if step >= 5:
            raise Cut

    spec = SPEC.model_copy(update={"embedding_dropout": 0.2}) if kind == "encoder" else Bert(path="none")
    options = {"spec": spec, "max_steps": 8, "evaluations": 2, "checkpoints": 8, "token_dropout": 0.15}
    whole, _ = train(setting, tmp_path / "whole", precision=precision, **options)
    with pytest.raises(Cut):
        train(setting, tmp_path / "cut", precision=precision, log=cut, **options)
    resumed, _ = train(setting, tmp_path / "cut", precision=precision, **options)
    assert resumed.resumed_from == 4
    assert np.array_equal(weights(whole), weights(resumed))


class Bert(Checkpoint):
    """A new BERT in place of one from a folder: it drops attention weights too."""

    def model(self, model_class, labels, tokenizer, ids):
        from transformers import BertConfig

        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
        return model_class.from_config(BertConfig(vocab_size=len(tokenizer), num_labels=len(labels), **sizes))


def test_a_training_stops_when_validation_gets_no_better(setting, tmp_path: Path):
    fitted, _ = train(setting, tmp_path, learning_rate=1e-9, max_steps=40, evaluations=10, patience=2)
    assert fitted.steps == 12


def test_gradient_checkpointing_changes_memory_not_weights(setting, tmp_path: Path):
    spec = SPEC.model_copy(update={"embedding_dropout": 0.2})
    plain, _ = train(setting, tmp_path / "plain", spec=spec, max_steps=4)
    saving, _ = train(setting, tmp_path / "saving", spec=spec, max_steps=4, gradient_checkpointing=True)
    assert np.allclose(weights(plain), weights(saving), atol=1e-6)


def test_balanced_weights_give_every_label_the_same_say():
    from sluice.training.loss import class_weights

    references = np.array([0] * 90 + [1] * 9 + [2])
    shares = np.bincount(references, class_weights(references, 3).numpy()[references])
    assert shares == pytest.approx([100 / 3] * 3)


def test_quickened_models_give_the_same_logits_and_are_put_back(setting):
    import torch

    from sluice.training.attention import quickened

    model = Bert(path="none").model(TASK.model_class(), setting[1], setting[0], []).eval()
    batch = setting[0](["iron and tin", "the old river rhine near a big new hill"], padding=True, return_tensors="pt")
    plain = model(**batch).logits
    with torch.no_grad(), quickened(model, "fp32"):
        assert torch.allclose(model(**batch).logits, plain, atol=1e-6)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 1e-6  # rounds to nothing, but takes the way of training
        assert torch.allclose(model.train()(**batch).logits, plain, atol=1e-6)
    assert {type(module) for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {torch.nn.Dropout}
    assert model.config._attn_implementation == "sdpa"


def test_a_half_written_checkpoint_is_passed_over(setting, tmp_path: Path):
    train(setting, tmp_path, max_steps=2, evaluations=2)
    kept = newest_whole(tmp_path)
    half = tmp_path / "checkpoint-99"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"x")
    assert newest_whole(tmp_path) == kept
    assert not half.exists()


def test_a_checkpoint_folder_is_a_model(setting, tmp_path: Path):
    fitted, _ = train(setting, tmp_path / "run", max_steps=2)
    fitted.model.save_pretrained(tmp_path / "saved")
    setting[0].save_pretrained(tmp_path / "saved")
    spec = Checkpoint(path=str(tmp_path / "saved"))
    again, _ = train((spec.tokenizer([], 32), *setting[1:]), tmp_path / "again", spec=spec, max_steps=1)
    assert again.steps == 1
    assert spec.fingerprint() == Checkpoint(path=str(tmp_path / "saved")).fingerprint()


def test_the_tokenizer_repeats_itself_and_knows_only_training_rows(setting):
    again = SPEC.tokenizer(TEXTS, 32)
    assert again.get_vocab() == setting[0].get_vocab()
    assert "Ġzebra" not in again.get_vocab()
    assert again.decode(again("Ünknown zebra 😀").input_ids, skip_special_tokens=True).strip() == "Ünknown zebra 😀"


def test_total_steps_counts_as_trainer_does(setting, tmp_path: Path):
    for changes in ({"epochs": 1}, {"epochs": 2, "accumulation": 2}, {"max_steps": 3}):
        fitted, _ = train(setting, tmp_path / str(changes), **changes)
        settings = Train.model_validate({"batch_size": 32, **changes})
        assert total_steps(settings, 96) == fitted.steps


def test_embeddings_start_with_tokens_of_one_topic_near_each_other(setting):
    tokenizer, labels, rows = setting
    model = SPEC.model(TASK.model_class(), labels, tokenizer, rows.ids)
    weight = model.get_input_embeddings().weight.detach().numpy()

    def vector(word: str) -> np.ndarray:
        return weight[tokenizer(word, add_special_tokens=False)["input_ids"]].mean(axis=0)

    def cosine(one: str, other: str) -> float:
        a, b = vector(one), vector(other)
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine("rhine", "danube") > cosine("rhine", "copper")
    assert cosine("copper", "silver") > cosine("copper", "melon")


def test_hiding_tokens_needs_a_mask_token(setting, tmp_path: Path):
    from sluice.errors import UserError

    tokenizer = SPEC.tokenizer(TEXTS, 32)
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="train.token_dropout=0"):
        train((tokenizer, *setting[1:]), tmp_path, token_dropout=0.1)


def test_hidden_tokens_are_the_share_asked_for_and_never_special_ones(setting):
    import torch

    tokenizer = setting[0]
    ids = torch.tensor([tokenizer("iron and tin under the old river")["input_ids"]] * 500)
    hidden = drop_tokens(ids, tokenizer, 0.25) == tokenizer.mask_token_id
    assert not hidden[:, 0].any()
    assert not hidden[:, -1].any()
    assert hidden[:, 1:-1].float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(drop_tokens(ids, tokenizer, 0.0), ids)


def test_rows_by_length_keep_their_answers():
    ids = [[5] * 3, [6], [7] * 2, [8]]
    rows = Rows([Encoded(row) for row in ids], [3, 1, 2, 1], ["d", "b", "c", "b"]).by_length()
    assert rows.ids == [[6], [8], [7] * 2, [5] * 3]
    assert rows.targets == [1, 1, 2, 3]
    assert rows.references == ["b", "b", "c", "d"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": "adamx"}, r"train\.optimizer=adamx: no such optimizer\. Did you mean ade"),
        ({"optimizer": "lomo"}, r"train\.optimizer=lomo: .*install"),
        ({"schedule": "cosin"}, r"train\.schedule=cosin: no such schedule\. Did you mean cosine"),
        ({"schedule": "warmup_stable_decay"}, r"train\.schedule=warmup_stable_decay needs settings of its own"),
    ],
)
def test_an_optimizer_or_schedule_that_cannot_be_made_is_told_before_training(changes: dict, told: str):
    check_choices(Train())
    with pytest.raises(UserError, match=told):
        check_choices(Train.model_validate(changes))
