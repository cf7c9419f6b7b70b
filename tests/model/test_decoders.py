"""Decoders: rows packed side by side, losses of answers alone, answers that stop and depend on nothing else."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.decoder import Decoder
from sluice.tasks.chat import Chat, grounded
from sluice.tasks.generation import CausalLM, GenerationOptions
from sluice.tasks.packing import Packing
from sluice.tasks.task import IGNORED
from sluice.training.attention import keeps_rows_apart, quickened
from sluice.training.precision import autocast
from tests.model.learning import learn

CHAT, PLAIN = Chat(max_length=40, max_new_tokens=8), CausalLM(max_length=40, max_new_tokens=8)
SPEC = Decoder(vocabulary=400, hidden=48, layers=2, heads=2, key_value_heads=1, feed_forward=96, context=96)
THINGS = ["gate", "river", "boat", "lock", "bridge", "mill"]
TALK = [
    {"role": "user", "content": "here"},
    {"role": "assistant", "content": "it is the here"},
    {"role": "user", "content": "and the two boat here"},
]


def make_rows(count: int, seed: int = 0) -> dict[str, list[str]]:
    """The answer to a prompt is the thing that it names."""
    rng = random.Random(seed)
    rows: dict[str, list[str]] = {"prompt": [], "answer": []}
    for _ in range(count):
        thing = rng.choice(THINGS)
        words = rng.choices(["the", "old", "new", "of", "two", "here"], k=rng.randint(1, 7))
        words.insert(rng.randint(0, len(words)), thing)
        said = " ".join(words)
        earlier = [{"role": "user", "content": "here"}, {"role": "assistant", "content": "it is the here"}]
        talk = [*earlier, {"role": "user", "content": said}]
        rows["prompt"].append(json.dumps(talk) if rng.random() < 0.3 else said)
        rows["answer"].append(f"it is the {thing}\na {thing}")
    return rows


def make_texts(count: int, seed: int = 0) -> dict[str, list[str]]:
    rows = make_rows(count, seed)
    return {"text": [f"{text} is there".replace("\n", " ") for text in CHAT.texts(rows)]}


PLAINLY = {"label_smoothing": 0.0, "token_dropout": 0.0, "learning_rate": 5e-3, "epochs": 24, "batch_size": 16}


def learnt(task: Chat | CausalLM, make, folder: Path, **settings) -> Path:
    """A bundle that learnt a toy task."""
    return learn(task, SPEC, make(256), make(40, seed=1), folder, **{**PLAINLY, **settings})[1]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(CHAT, make_rows, tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def predictor(chatty: Path) -> Predictor:
    return Predictor(chatty, TorchEngine())


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("bf16", [True, False])
def test_rows_of_a_batch_do_not_see_each_other(apart: bool, bf16: bool):
    rows = make_rows(24)
    tokenizer = SPEC.tokenizer(CHAT.corpus(rows), CHAT.max_length)
    model = SPEC.model(CHAT.model_class(), [], tokenizer, []).eval()
    encoded = CHAT.encode(tokenizer, CHAT.lessons(rows))
    targets = CHAT.targets(tokenizer, encoded, rows, [])
    listed = [{"input_ids": one.ids, "labels": own} for one, own in zip(encoded, targets, strict=True)]
    together = Packing(tokenizer.pad_token_id, 8, apart)(listed)
    assert len(together["input_ids"]) == (1 if apart else len(encoded))
    wanted = together.pop("labels")
    with torch.no_grad(), quickened(model, "fp32", by_row=apart), torch.autocast("cpu", torch.bfloat16, bf16):
        found = CHAT.losses(CHAT.scores(model, together, wanted), wanted, 0.0)
    alone = []
    with torch.no_grad():
        for one in encoded:
            logits = model(input_ids=torch.tensor([one.ids])).logits[0, :-1]
            each = torch.nn.functional.cross_entropy(logits, torch.tensor(one.ids[1:]), reduction="none")
            alone += each[[at - 1 for at in one.positions]].tolist()
    assert found.tolist() == pytest.approx(alone, rel=2e-3 if bf16 else 1e-5)
    assert (wanted != IGNORED).sum() == sum(len(one.positions) for one in encoded)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}


@pytest.mark.parametrize(
    ("family", "apart"),
    [("llama", True), ("qwen2", True), ("gpt_neox", True), ("opt", True), ("bloom", False), ("falcon", False)],
)
def test_only_models_that_keep_rows_apart_get_them_side_by_side(family: str, apart: bool):
    own = {"word_embed_proj_dim": 32, "ffn_dim": 64} if family == "opt" else {"intermediate_size": 64}
    if family in ("llama", "qwen2"):
        own["num_key_value_heads"] = 2
    config = AutoConfig.for_model(family, **SMALL, **own)
    model = AutoModelForCausalLM.from_config(config)
    was = model.config._attn_implementation
    assert keeps_rows_apart(model) is apart
    assert model.training
    assert model.config._attn_implementation == was


def test_gradients_of_rows_side_by_side_are_those_of_padded_rows():
    rows = make_rows(8)
    tokenizer = SPEC.tokenizer(CHAT.corpus(rows), CHAT.max_length)
    model = SPEC.model(CHAT.model_class(), [], tokenizer, [])
    encoded = CHAT.encode(tokenizer, CHAT.lessons(rows))
    targets = CHAT.targets(tokenizer, encoded, rows, [])
    listed = [{"input_ids": one.ids, "labels": own} for one, own in zip(encoded, targets, strict=True)]
    found = []
    for apart in (True, False):
        batch = Packing(tokenizer.pad_token_id, 8, apart)(listed)
        wanted = batch.pop("labels")
        model.zero_grad()
        with quickened(model, "fp32", by_row=apart):
            CHAT.losses(CHAT.scores(model, batch, wanted), wanted, 0.0).sum().backward()
        found.append(torch.cat([one.grad.flatten() for one in model.parameters()]))
    assert torch.allclose(*found, rtol=1e-3, atol=1e-4 * found[0].abs().max().item())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_takes_rows_side_by_side_at_once():
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **SMALL | {"hidden_size": 64}, num_key_value_heads=2, intermediate_size=64)
    model = AutoModelForCausalLM.from_config(config).cuda()
    lengths = [100, 1, 37]
    ids = torch.randint(0, 100, (1, sum(lengths)), device="cuda")
    positions = torch.cat([torch.arange(length, device="cuda") for length in lengths]).unsqueeze(0)
    found = []
    for precision in ("fp32", "bf16"):  # a kernel for all rows by bf16, one call a row by fp32
        model.zero_grad()
        with quickened(model, precision, by_row=True), autocast(precision, "cuda"):
            logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1].float(), ids[0, 1:])
        loss.backward()
        gradients = torch.cat([one.grad.flatten() for one in model.parameters()])
        found.append((loss.item(), gradients))
    (exact, wanted), (quick, gradients) = found
    assert quick == pytest.approx(exact, rel=1e-3)
    assert (gradients - wanted).norm() < 0.03 * wanted.norm()


def test_only_answers_have_targets():
    rows = make_rows(4)
    tokenizer = SPEC.tokenizer(CHAT.corpus(rows), CHAT.max_length)
    encoded = CHAT.encode(tokenizer, CHAT.lessons(rows))
    for one, own, answer in zip(encoded, CHAT.targets(tokenizer, encoded, rows, []), rows["answer"], strict=True):
        learnt = [token for token in own if token != IGNORED]
        assert tokenizer.decode(learnt) == f" {answer.partition(chr(10))[0]}</s>"
        assert one.ids[-len(learnt) :] == learnt


def test_it_says_what_it_learnt_and_stops(predictor: Predictor):
    rows = make_rows(40, seed=1)
    outputs = CHAT.observe(predictor.outputs, rows)
    figures = CHAT.metrics(outputs, [], CHAT.references(rows))
    assert figures["exact"] > 0.95
    assert figures["finished"] == 1.0
    assert figures["perplexity"] < 1.1
    (said,) = predictor.predict(["here is the old gate"]).results
    assert said.model_dump() == {"text": "it is the gate", "finished": True, "truncated": False}
    (short,) = predictor.predict(["here is the old gate"], GenerationOptions(max_new_tokens=2)).results
    assert (short.text, short.finished) == ("it is", False)
    (stopped,) = predictor.predict(["here is the old gate"], GenerationOptions(stop=["gate"])).results
    assert (stopped.text, stopped.finished) == ("it is the", True)


def test_a_conversation_goes_on(predictor: Predictor):
    (said,) = predictor.predict([json.dumps(TALK)]).results
    assert said.text == "it is the boat"


def test_an_answer_does_not_depend_on_its_neighbours(predictor: Predictor):
    texts = [*make_rows(12, seed=2)["prompt"], "the old mill " * 30]
    for options in (None, GenerationOptions(temperature=2.0, seed=5)):
        together = [result.text for result in predictor.predict(texts, options).results]
        assert together == [predictor.predict([text], options).results[0].text for text in texts]


def test_a_seed_draws_the_same_and_others_draw_otherwise(predictor: Predictor):
    drawn = [
        predictor.predict(["the old mill"], GenerationOptions(temperature=5.0, seed=seed)).results[0].text
        for seed in (1, 1, *range(2, 8))
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 3
    (narrow,) = predictor.predict(["the old mill"], GenerationOptions(temperature=5.0, top_p=0.01)).results
    assert narrow.text == "it is the mill"


def test_draws_follow_the_softmax():
    from sluice.tasks.sampling import Draw
    from sluice.tasks.written import Wish

    scores = torch.log(torch.tensor([0.5, 0.3, 0.2]))
    draw = Draw(Wish(tokens=1, temperature=1.0))
    counts = torch.bincount(torch.stack([draw(scores).argmax() for _ in range(2000)]), minlength=3) / 2000
    assert counts.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.04)


def test_others_open_it(chatty: Path):
    from transformers import pipeline

    writer = pipeline("text-generation", str(chatty))
    said = writer([{"role": "user", "content": "here is the old gate"}], max_new_tokens=8, do_sample=False)
    assert said[0]["generated_text"][-1]["content"].strip() == "it is the gate"


def test_plain_text_is_weighed_and_continued(tmp_path: Path):
    predictor = Predictor(learnt(PLAIN, make_texts, tmp_path, epochs=8), TorchEngine())
    rows = make_texts(40, seed=1)
    outputs = PLAIN.observe(predictor.outputs, rows)
    figures = PLAIN.metrics(outputs, [], rows["text"])
    baselines = PLAIN.baselines(make_texts(256), rows)
    others = {
        name: PLAIN.tally(answers, rows["text"], []).exact()["bits_per_byte"]
        for name, answers in {**baselines.trivial, **baselines.strong}.items()
    }
    assert figures["bits_per_byte"] < others["byte_frequencies"] / 2
    assert others["5_gram_of_bytes"] < others["byte_frequencies"]
    (said,) = predictor.predict(["the old gate is"]).results
    assert said.text == "there"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_are_merged(tmp_path: Path, precision: str):
    bundle = learnt(CHAT, make_rows, tmp_path, lora={"rank": 4}, epochs=1, precision=precision)
    assert not list(bundle.glob("adapter*"))
    (said,) = Predictor(bundle, TorchEngine()).predict(["the old mill"]).results
    assert said.text


def test_passages_are_numbered():
    assert grounded("why?", ["one", "two"]) == "[1] one\n[2] two\nAnswer from these passages: why?"


def test_what_a_writer_has_to_keep(predictor: Predictor, tmp_path: Path):
    from sluice.evaluation.behaviour import shares, try_cases
    from sluice.evaluation.casefile import Cases

    path = tmp_path / "cases.yaml"
    path.write_text(
        "cases:\n- name: all\n  kind: writing\n  texts: [here is the old gate, the mill]\n"
        "  must: [stops, max_tokens, deterministic, seeded, no_echo]\n"
    )
    tried = try_cases(predictor, Cases.read(path))
    assert len(tried) == 10
    assert [one for one in tried if not one.outcome.holds] == []
    assert shares(tried) == {"writing": 1.0}
