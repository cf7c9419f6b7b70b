"""The configuration that this command line gives with other values in some places, and recipes made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipelines.shared.wording import CONF
from sluice.config import Config, load
from sluice.errors import UserError
from sluice.files import write_text
from sluice.part import digest

if TYPE_CHECKING:
    from omegaconf import DictConfig

ASIDE = (
    "root", "tracking_uri", "version", "force", "receipt", "input", "output", "query", "k", "queries", "judgements",
    "question", "questions",
    "evaluate", "forms", "compress", "gate", "serve", "tune", "predict", "index", "search", "ask",
)  # fmt: skip
"""What says nothing about how a model is made: its values are in no recipe."""
CHOOSERS = ("experiment", "local", "debug")
"""Groups that only set values of the others."""
HEADER, MADE = "# @package _global_\n", "# Made by make tune: "


@dataclass(frozen=True)
class Variant:
    """A composed configuration: typed, plain, and the choice of each group."""

    cfg: Config
    plain: dict[str, Any]
    groups: dict[str, str | None]


def variant(choices: Mapping[str, Any]) -> Variant:
    """What the command line gives when `choices` are said last."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    kept = [one.input_line for one in parsed if one.key_or_group not in choices and one.input_line]
    return _compose([*kept, *(f"{path}={quote(value)}" for path, value in choices.items())])


def _compose(overrides: list[str]) -> Variant:
    from hydra import compose
    from omegaconf import open_dict

    composed = compose("config", overrides, return_hydra_config=True)
    chosen = dict(composed.hydra.runtime.choices)
    with open_dict(composed):
        del composed["hydra"]
    groups = {
        group: choice for group, choice in chosen.items() if group not in (*ASIDE, *CHOOSERS) and "/" not in group
    }
    return Variant(load(composed), _plain(composed), groups)


def _plain(composed: DictConfig) -> dict[str, Any]:
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=False)
    return {key: value for key, value in plain.items() if key not in ASIDE}


def quote(value: Any) -> str:
    """A value as Hydra's override grammar reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)


def made_here(path: Path) -> bool:
    """Whether a recipe is as `write_recipe` left it: then it may be written again."""
    first, made, *rest = [*path.read_text(encoding="utf-8").splitlines(keepends=True), "", ""]
    return made.startswith(MADE) and made.rstrip().endswith(digest(first + "".join(rest))[:12])


def write_recipe(path: Path, found: Variant, title: str) -> None:
    """A complete recipe: with `experiment=<its name>` alone a command line makes the same model."""
    from hydra import compose
    from omegaconf import OmegaConf

    groups = [f"{group}={quote(choice)}" for group, choice in found.groups.items()]
    without = _plain(compose("config", [*groups, *_without_local()]))
    body = {"defaults": [{f"override /{group}": choice} for group, choice in found.groups.items()]}
    body |= _difference(without, found.plain)
    text = HEADER + OmegaConf.to_yaml(OmegaConf.create(body))
    _check(text, found)
    write_text(path, text.replace(HEADER, f"{HEADER}{MADE}{title} {digest(text)[:12]}\n", 1))


def _without_local() -> list[str]:
    """Leave out this machine's own settings: a recipe says what they did to the model."""
    return ["~local"] if Path(CONF, "local", "default.yaml").exists() else []


def _difference(without: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What has to be said beside the groups, as deep as it goes."""
    said = {}
    for key, value in found.items():
        before = without.get(key)
        if key in without and before == value:
            continue
        nested = isinstance(value, dict) and isinstance(before, dict)
        said[key] = _difference(before or {}, value) if nested else value
    return said


def _check(text: str, found: Variant) -> None:
    """Compose the recipe before it is kept: what it makes must be what was found."""
    with TemporaryDirectory() as folder:
        recipe = Path(folder) / "experiment" / "the_recipe_that_is_checked.yaml"
        write_text(recipe, text)
        composed = _compose(
            [f"hydra.searchpath=[{quote(f'file://{folder}')}]", f"experiment={recipe.stem}", *_without_local()]
        )
    for name in type(found.cfg).model_fields:
        if name not in ASIDE and getattr(composed.cfg, name) != getattr(found.cfg, name):
            raise UserError(
                f"{name} as it was tuned cannot be written as a recipe, which can only add and change settings: "
                f"undo what takes settings of {name} away (~{name}...), or make a yaml of your own in conf/{name}/"
            )
