"""What is served, and how: settled once in the supervisor, read from a file by every worker.

The models' descriptions, first found wins: the file that `SLUICE_SLOTS` names; `slots.json` beside this package, as it
lies in a Bento; what the registry says of the configured models, asked in a process of its own, which goes on asking,
so that no process of the service ever imports mlflow. The configuration lies beside them in a Bento; elsewhere it is
the file that `SLUICE_CONFIG` names, or what the last promotion wrote.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.follower import Follower
from serving.process import GRPC_PORT
from serving.slot import SlotDescription, firm, read_descriptions
from sluice.errors import UserError
from sluice.files import write_json
from sluice.inference.bundle import Bundle
from sluice.inference.engines.fastest import FastestEngine
from sluice.inference.settings import Serve
from sluice.part import digest
from sluice.tasks.task import Task

SLOTS = "SLUICE_SLOTS"
CONFIG = "SLUICE_CONFIG"
REGISTRY = "SLUICE_TRACKING_URI"
"""Variable by which the process that asks the registry knows where that is."""
HOME = Path(__file__).resolve().parent.parent
PROMOTED = Path("mlruns/work/serve/config.yaml")
NOTHING = "nothing promoted yet: run make train and make promote"


def settings() -> Serve:
    """The configured service; its defaults where nothing has been configured yet."""
    path = _config_path()
    if path is None:
        configured = Serve(engine=FastestEngine())
    else:
        from sluice.config import load_file

        configured = load_file(path).serve
    if GRPC_PORT not in os.environ:
        return configured
    given = os.environ[GRPC_PORT]
    if not given.isdigit():
        raise UserError(f"{GRPC_PORT}={given}: expected a port, or 0 for none")
    return configured.model_copy(update={"grpc_port": int(given) or None})


def slots_path(settings: Serve) -> Path:
    """The file that describes what to serve."""
    if SLOTS in os.environ:
        return Path(os.environ[SLOTS])
    packaged = HOME / "slots.json"
    return packaged if packaged.exists() else _ask_registry(settings)


def hand_over(settings: Serve) -> list[SlotDescription]:
    """Settle what to serve, check the bundles, and leave it where the workers look first."""
    path = slots_path(settings)
    slots = read_descriptions(path)
    for slot in firm(slots):
        slot.verify()
    os.environ[SLOTS] = str(path.absolute())
    return slots


def tasks() -> list[Task]:
    """The tasks of what is served, one a verb; none before that is settled, where nobody asks for them."""
    if SLOTS not in os.environ and not (HOME / "slots.json").exists():
        return []
    path = Path(os.environ.get(SLOTS, HOME / "slots.json"))
    found = [Bundle.read(slot.folder).resolve_task() for slot in firm(read_descriptions(path))]
    return list({task.verb: task for task in reversed(found)}.values())[::-1]


def _config_path() -> Path | None:
    if CONFIG in os.environ:
        return Path(os.environ[CONFIG])
    path = HOME / "config.yaml" if (HOME / "slots.json").exists() else PROMOTED
    return path if path.exists() else None


def _ask_registry(settings: Serve) -> Path:
    path = _config_path()
    if path is None:
        raise UserError(NOTHING)
    from sluice.config import load_file

    config = load_file(path)
    asked = {"name": config.name, "root": config.root}
    overrides = [f"{key}={_quote(value)}" for key, value in asked.items()]
    # The address may hold a password, and everybody may read the arguments of a process.
    overrides.append(f"tracking_uri={f'${{oc.env:{REGISTRY}}}' if config.tracking_uri else 'null'}")
    environment = {**os.environ, **({REGISTRY: config.tracking_uri} if config.tracking_uri else {})}
    overrides.append(f"serve.models=[{','.join(map(_quote, settings.models))}]")
    found = _copy(config.root, config.name, settings.models)
    if settings.poll_s is not None:
        overrides += [f"serve.poll_s={settings.poll_s}", f"output={_quote(found)}"]
        overrides += [f"serve.canary.{name}={value}" for name, value in settings.canary]
        Follower([sys.executable, "-m", "pipelines.follow", *overrides], environment).begin()
        return found
    command = [sys.executable, "-m", "pipelines.resolve", *overrides]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        cause = answer.stderr.strip().removeprefix("error: ")
        raise UserError(cause or f"{' '.join(command)} failed with {answer.returncode}")
    write_json(found, json.loads(answer.stdout.splitlines()[-1]))
    return found


def _copy(root: Path, name: str, models: Sequence[str]) -> Path:
    """The file of what is served here, one for each choice of models: two services do not write each other's."""
    marks = f"-{digest(list(models))[:8]}" if models else ""
    return root.absolute() / "work" / "serve" / f"{name}{marks}.json"


def _quote(value: object) -> str:
    """A value as Hydra's override grammar reads it, whatever characters a path holds."""
    if value is None:
        return "null"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
