"""Every configuration composes and is valid; every leaf of it counts in the digest."""

from pathlib import Path

import pytest

from sluice.inference.engines.torch import TorchEngine
from sluice.part import Part, digest
from tests.conftest import REPOSITORY, compose_config

CONF = REPOSITORY / "conf"
GROUPS = (
    "data", "checks", "task", "model", "pretrain", "train", "evaluate", "forms", "compress", "gate", "serve", "tune",
    "predict", "index", "search", "ask", "load", "retention", "experiment", "debug",
)  # fmt: skip
CHOICES = [(path.parent.name, path.stem) for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name != "local"]
GIVEN = {"files": ["data.train=rows.csv"], "hub": ["data.dataset=a/b"], "checkpoint": ["model.path=some/model"]}
GIVEN |= {task: ["model=encoder_decoder"] for task in ("summarization", "translation")}
GIVEN |= {task: ["model=decoder"] for task in ("causal_lm", "chat")}
GIVEN |= {"encoder_decoder": ["task=summarization"], "decoder": ["task=chat"]}
GIVEN |= {"causal": ["task=chat", "model=decoder"], "spans": ["task=summarization", "model=encoder_decoder"]}


def test_groups_are_those_of_the_design():
    assert {path.name for path in CONF.iterdir() if path.is_dir() and path.name != "local"} == set(GROUPS)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_is_valid_alone_and_shrunk(group: str, choice: str):
    for debug in ([], ["debug=fast"] if group != "debug" else []):
        compose_config(f"{group}={choice}", *GIVEN.get(choice, []), *debug)


def _changed(value: object) -> list[object]:
    """Values near `value`: at least one of them is valid where it stands."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, value * 2]
    if isinstance(value, float):
        return [value / 2, value + 0.01, value * 2]
    if isinstance(value, Path):
        return [value / "other"]
    if isinstance(value, str):
        return ["fp32", "bfloat16", "none", "balanced", "csv", "random", "causal", "drop", "refuse", f"{value}x"]
    if isinstance(value, tuple):
        return [(*value, "other"), value[:-1]]
    if isinstance(value, dict):
        fewer = dict(list(value.items())[1:])
        return [
            {**value, "accuracy": 0.5},
            {**value, "text": "7"},
            {**value, "other": "other"},
            fewer,
            {"x": TorchEngine()},
        ]
    return [0.5, 1, 7, "x", "csv", "http://127.0.0.1:1", Path("x"), {"accuracy": 0.5}, {"rank": 8}, ("x",), ("onnx",)]


def _leaves(part: Part) -> list[tuple[tuple[str, ...], object]]:
    found: list[tuple[tuple[str, ...], object]] = []
    for name in type(part).model_fields:
        value = getattr(part, name)
        nested = _leaves(value) if isinstance(value, Part) else [((), value)]
        found += [((name, *path), leaf) for path, leaf in nested]
    return found


def _with(part: Part, path: tuple[str, ...], value: object) -> Part:
    name, *rest = path
    inner = _with(getattr(part, name), tuple(rest), value) if rest else value
    fields = {field: getattr(part, field) for field in type(part).model_fields}
    return type(part).model_validate({**fields, name: inner})


FILES = [
    "data=files",
    "data.train=rows.csv",
    "data.header=false",
    "data.columns={text: '1', label: '2'}",
    "+data.columns.other='3'",
]


@pytest.mark.parametrize("overrides", [[], [*FILES, "model=checkpoint", "model.path=a/b"]])
def test_every_leaf_counts_in_the_digest(overrides: list[str]):
    config = compose_config(*overrides)
    leaves = _leaves(config)
    assert len(leaves) > 40
    for path, value in leaves:
        digests = set()
        for other in _changed(value):
            try:
                digests.add(_with(config, path, other).digest())
            except ValueError:
                continue
        digests.discard(config.digest())
        assert digests, f"no change of {'.'.join(path)} changes the digest"


def test_parts_of_different_classes_differ():
    class One(Part):
        value: int

    class Other(Part):
        value: int

    assert One(value=1).digest() != Other(value=1).digest()
    assert digest([One(value=1)]) != digest([Other(value=1)])


def test_a_configuration_comes_back_from_its_yaml(tmp_path: Path):
    from sluice.config import load_file, to_yaml

    config = compose_config("seed=3", "gate.floors={accuracy: 0.5}")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_file(tmp_path / "config.yaml") == config
