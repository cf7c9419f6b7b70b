"""Decoders by onnxruntime-genai: the texts and likelihoods of PyTorch, for many callers at once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.compression import genai as building
from sluice.compression.genai import build, obstacle
from sluice.errors import UserError
from sluice.files import link_tree, write_json
from sluice.inference.bundle import Bundle, Form
from sluice.inference.engine import Step, Writer
from sluice.inference.engines import genai
from sluice.inference.engines.fastest import FastestEngine
from sluice.inference.engines.formed import remove_form
from sluice.inference.engines.genai import GenaiEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.decoder import Decoder
from sluice.tasks.generation import GenerationOptions
from sluice.tasks.written import Wish
from tests.model.learning import learn
from tests.model.test_decoders import CHAT, PLAINLY, make_rows

SPEC = Decoder(vocabulary=400, hidden=64, layers=2, heads=4, key_value_heads=2, feed_forward=96, context=96)
PROMPTS = ["the old gate of two", "here the river", "a boat", "lock", "the bridge here of the two new"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat that names things, with both graphs beside its weights."""
    folder = learn(CHAT, SPEC, make_rows(256), make_rows(40, 1), tmp_path_factory.mktemp("chat"), **PLAINLY)[1]
    for precision in ("float32", "int8"):
        assert build(folder, precision).stat().st_size
    return folder


@pytest.fixture(scope="module")
def plain(bundle: Path) -> Predictor:
    return Predictor(bundle, TorchEngine())


def test_it_writes_what_pytorch_writes(bundle: Path, plain: Predictor):
    ours = Predictor(bundle, GenaiEngine(threads=1))
    assert ours.predict(PROMPTS).results == plain.predict(PROMPTS).results
    short = GenerationOptions(max_new_tokens=2)
    found = ours.predict(PROMPTS, short).results
    assert found == plain.predict(PROMPTS, short).results
    assert not any(one.finished for one in found)  # type: ignore[attr-defined]


def test_likelihoods_are_those_of_pytorch(bundle: Path, plain: Predictor):
    rows = make_rows(20, seed=3)
    ours, theirs = (CHAT.observe(one.outputs, rows) for one in (Predictor(bundle, GenaiEngine()), plain))
    assert CHAT.agreement(ours, theirs, []) == pytest.approx(1, abs=1e-3)
    figures = [CHAT.metrics(one, [], CHAT.references(rows)) for one in (ours, theirs)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-3)


def test_int8_is_near_and_smaller(bundle: Path, plain: Predictor):
    rows = make_rows(20, seed=3)
    ours, theirs = (
        CHAT.observe(one.outputs, rows) for one in (Predictor(bundle, GenaiEngine(precision="int8")), plain)
    )
    assert CHAT.agreement(ours, theirs, []) > 0.9
    sizes = [(bundle / folder / "model.onnx.data").stat().st_size for folder in ("genai.int8", "genai")]
    assert sizes[0] < 0.6 * sizes[1]  # so small a model is mostly scales


def test_the_same_seed_draws_the_same_text_and_another_one_another(bundle: Path):
    ours = Predictor(bundle, GenaiEngine())
    drawn = [
        [one.text for one in ours.predict(PROMPTS, GenerationOptions(temperature=3.0, seed=seed)).results]  # type: ignore[attr-defined]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def run(body: Callable[[Writer], object], bundle: Path) -> None:
    async def inside() -> None:
        writer = GenaiEngine(threads=1).writer(bundle, CHAT)
        assert writer
        try:
            await asyncio.wait_for(body(writer), 60)  # type: ignore[arg-type]
            assert writer.alive()
        finally:
            writer.end()

    asyncio.run(inside())


async def written(writer: Writer, ids: list[int], wish: Wish) -> list[Step]:
    steps: asyncio.Queue[Step] = asyncio.Queue()
    writer.start(ids, wish, steps.put_nowait)
    found = [await steps.get()]
    while not found[-1].ended and found[-1].error is None:
        found.append(await steps.get())
    return found


def test_texts_written_at_once_are_those_written_alone(bundle: Path, plain: Predictor):
    ids = [one.ids for one in plain.encode(PROMPTS)]

    async def body(writer: Writer) -> None:
        together = await asyncio.gather(*(written(writer, one, Wish(8, logprobs=True)) for one in ids))
        for one, steps in zip(ids, together, strict=True):
            alone = await written(writer, one, Wish(8, logprobs=True))
            assert [step.token for step in alone] == [step.token for step in steps]
            assert all(step.logprob is not None and step.logprob <= 0 for step in steps)
            assert steps[-1].stopped == (steps[-1].token is None)

    run(body, bundle)


def test_a_caller_who_leaves_frees_his_turn_and_a_bad_prompt_is_its_own(bundle: Path, plain: Predictor):
    (encoded,) = plain.encode(PROMPTS[:1])

    async def body(writer: Writer) -> None:
        heard: list[Step] = []
        leave = writer.start(encoded.ids, Wish(60), heard.append)
        leave()
        bad, good = await asyncio.gather(written(writer, [10**6], Wish(4)), written(writer, encoded.ids, Wish(4)))
        assert bad[-1].error
        assert good[-1].ended
        assert len(heard) <= 1

    run(body, bundle)


def test_the_fastest_takes_it_where_it_was_measured_to_be(bundle: Path, tmp_path: Path):
    link_tree(bundle, tmp_path / "bundle")
    described = Bundle.read(bundle)
    none = {"value": 0.0, "low": 0.0, "high": 0.0}
    form = Form.model_validate({
        "file": "genai.int8/model.onnx", "size": 1, "rows": 1, "agreement": 1, "metric": "m", "difference": none,
        "speed": {"value": 3.0, "low": 3.0, "high": 3.0}, "control": 1,
    })  # fmt: skip
    described.model_copy(update={"forms": {"genai_int8": form}}).write(tmp_path / "bundle")
    assert FastestEngine().chosen(tmp_path / "bundle", CHAT).name == "genai int8"
    assert FastestEngine().chosen(bundle, CHAT).kind == "continuous"
    remove_form(form.file, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "genai.int8").exists()
    assert (bundle / "genai.int8" / "model.onnx").exists()


def test_what_is_missing_is_told_in_a_line(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert obstacle(bundle) is None
    link_tree(bundle, tmp_path / "bundle")
    remove_form("genai/model.onnx", tmp_path / "bundle")
    with pytest.raises(UserError, match=r"has no genai: .*make compress.*serve/engine=continuous"):
        GenaiEngine().load(tmp_path / "bundle", CHAT)
    settings = json.loads((tmp_path / "bundle" / "config.json").read_text())
    write_json(tmp_path / "bundle" / "config.json", {**settings, "head_dim": 8})
    assert "heads are 8 wide, expected a multiple of 16" in str(obstacle(tmp_path / "bundle"))
    write_json(tmp_path / "bundle" / "config.json", {**settings, "architectures": ["NoSuchForCausalLM"]})
    with pytest.raises(UserError, match="onnxruntime-genai cannot build this model: "):
        build(tmp_path / "bundle", "float32")
    monkeypatch.setattr(genai.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not installed: pip install 'sluice\[genai\]', or do without it"):
        GenaiEngine().load(bundle, CHAT)
    monkeypatch.setattr(building, "find_spec", lambda name: None)
    assert "pip install 'sluice[genai]'" in str(obstacle(bundle))
