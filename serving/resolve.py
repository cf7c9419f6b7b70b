"""What is served, and how: settled once in the supervisor, read from a file by every worker.

The slot's description, first found wins: the file that `SLUICE_SLOT` names; `slot.json` beside this package,
as it lies in a Bento; the champion that the registry names, asked in a process of its own, so that no process
of the service ever imports mlflow. The configuration lies beside it in a Bento; elsewhere it is the file that
`SLUICE_CONFIG` names, or what the last promotion wrote.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from serving.slot import SlotDescription
from sluice.errors import UserError
from sluice.files import write_json
from sluice.inference.engine import TorchEngine
from sluice.inference.settings import Serve

SLOT = "SLUICE_SLOT"
CONFIG = "SLUICE_CONFIG"
HOME = Path(__file__).resolve().parent.parent
PROMOTED = Path("mlruns/work/serve/config.yaml")
NOTHING = "nothing promoted yet: run make train and make promote"


def settings() -> Serve:
    """The configured service; its defaults where nothing has been configured yet."""
    path = _config_path()
    if path is None:
        return Serve(engine=TorchEngine())
    from sluice.config import load_file

    return load_file(path).serve


def slot_path() -> Path:
    """The file that describes what to serve."""
    if SLOT in os.environ:
        return Path(os.environ[SLOT])
    packaged = HOME / "slot.json"
    return packaged if packaged.exists() else _ask_registry()


def hand_over() -> SlotDescription:
    """Settle what to serve, check its bundle, and leave it where the workers look first."""
    path = slot_path()
    slot = SlotDescription.read(path)
    slot.verify()
    os.environ[SLOT] = str(path.absolute())
    return slot


def _config_path() -> Path | None:
    if CONFIG in os.environ:
        return Path(os.environ[CONFIG])
    path = HOME / "config.yaml" if (HOME / "slot.json").exists() else PROMOTED
    return path if path.exists() else None


def _ask_registry() -> Path:
    path = _config_path()
    if path is None:
        raise UserError(NOTHING)
    from sluice.config import load_file

    config = load_file(path)
    asked = {"name": config.name, "root": config.root, "tracking_uri": config.tracking_uri}
    overrides = [f"{key}={_quote(value)}" for key, value in asked.items()]
    command = [sys.executable, "-m", "pipelines.resolve", *overrides]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        cause = answer.stderr.strip().removeprefix("error: ")
        raise UserError(cause or f"{' '.join(command)} failed with {answer.returncode}")
    found = Path(config.root) / "work" / "serve" / f"{config.name}.json"
    write_json(found, json.loads(answer.stdout.splitlines()[-1]))
    return found


def _quote(value: object) -> str:
    """A value as Hydra's override grammar reads it, whatever characters a path holds."""
    if value is None:
        return "null"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
