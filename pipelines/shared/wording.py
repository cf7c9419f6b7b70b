"""Errors of Hydra, OmegaConf and pydantic in the user's words: field, value, cause, nearest valid name."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.errors import UserError

if TYPE_CHECKING:
    from pydantic import ValidationError

CONF = str(Path(__file__).resolve().parents[2] / "conf")


def explain(error: Exception) -> str | None:
    """An error in the user's words, or None when it is a defect."""
    from hydra.errors import HydraException
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
    from pydantic import ValidationError

    from pipelines.shared import storage

    if isinstance(error, UserError):
        return str(error)
    if told := storage.explain(error):
        return told
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        return _validation(cause, _full_key(str(error)))
    if isinstance(error, ValidationError):
        return _validation(error, "")
    if isinstance(error, HydraException):
        return _composition(error)
    if isinstance(error, MissingMandatoryValue):
        key = str(error).split("\n")[0].rpartition(" ")[2]
        return f"{key} is missing: set it with {key}=..."
    if isinstance(error, OmegaConfBaseException):
        return " ".join(str(error).split("\n")[0].split())
    if isinstance(error, OSError) and error.filename and _in_hydra(error):
        return f"cannot write to {error.filename}: {error.strerror}. Free it or name another folder: root=/some/folder"
    if type(error).__name__ == "TerminatedWorkerError":  # of joblib, which is not imported where no sweep needs it
        return "a job's process was killed, perhaps for want of memory: fewer at once with hydra.launcher.n_jobs=1"
    return None


def _in_hydra(error: OSError) -> bool:
    """Whether Hydra failed to make its output folder, which lies in `root`."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__", "").startswith("hydra.core"):
            return True
        frame = frame.tb_next
    return False


def _full_key(message: str) -> str:
    found = re.search(r"full_key: (\S+)", message)
    return found.group(1) if found else ""


def _validation(error: ValidationError, prefix: str) -> str:
    """The first of pydantic's complaints: field, value, cause, nearest valid name."""
    first = error.errors(include_url=False)[0]
    field = ".".join([part for part in [prefix] if part] + [str(part) for part in first["loc"]])
    if first["type"] == "extra_forbidden":
        known = _fields_of(error.title, first["loc"][:-1])
        return f"unknown setting {field}.{_nearest(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"{field} is missing: set it with {field}=..."
    where = f"{field}{_said(first['input'])}: " if field else ""  # choices at odds with each other have no field
    return where + first["msg"].removeprefix("Value error, ")


def _said(value: object) -> str:
    """The value as it was given; nothing for a whole group, whose fields are at odds."""
    if not isinstance(value, str | int | float | bool | None):
        return ""
    return f"={value}" if len(str(value)) <= 60 else f"={str(value)[:57]}..."


def _fields_of(class_name: str, place: tuple[int | str, ...]) -> list[str]:
    """The fields of a part by its class, or of the part that stands at a place in it."""
    from typing import get_args

    from sluice.part import Part

    waiting = list(Part.__subclasses__())
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == class_name:
            for name in place:
                field = kind.model_fields[str(name)].annotation
                kind = next(one for one in (field, *get_args(field)) if hasattr(one, "model_fields"))
            return list(kind.model_fields)
        waiting += kind.__subclasses__()
    return []


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}"


def _composition(error: Exception) -> str:
    """Hydra's own message without its stack of causes; unknown keys with the nearest known one."""
    text = " ".join(str(error).split()).split(" Config search path")[0]
    if no_value := re.match(r"Error parsing override '([^']*)' missing EQUAL", text):
        return f"'{no_value[1]}' sets nothing: expected setting=value"
    unknown = re.search(r"Could not override '([^']+)'", text)
    return _unknown(unknown.group(1)) if unknown else text[:400]


def _unknown(key: str) -> str:
    """What is wrong with an override of `key`, by the configuration that the command's other choices give."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import DictConfig, OmegaConf

    chosen = [
        argument
        for argument in sys.argv[1:]
        if (Path(CONF, argument.partition("=")[0]).is_dir() and "," not in argument)  # several: a sweep
        or argument.startswith("hydra.searchpath=")
    ]
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=CONF):
        composed = compose("config", overrides=chosen)
    group, _, name = key.rpartition(".")
    beside = OmegaConf.select(composed, group) if group else composed
    if not isinstance(beside, DictConfig):
        return f"unknown setting {key}. No such group."
    if name in beside:
        return f"{key} has no such entry yet: add each new one by itself, +{key}.<entry>=..."
    return f"unknown setting {key}.{_nearest(name, [str(one) for one in beside if one != '_target_'])}"
