"""A folder of its own for everything that the commands generate, with two registered versions in it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@dataclass(frozen=True)
class House:
    """Runs commands as a user does, with all that they generate under `root`."""

    root: Path
    rows: Path

    @property
    def choices(self) -> list[str]:
        return ["data=files", f"data.train={self.rows}", "name=demo", f"root={self.root}", "debug=fast"]

    @property
    def environment(self) -> dict[str, str]:
        home = {"BENTOML_HOME": str(self.root / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
        return {**os.environ, **home}

    def __call__(self, stage: str, *arguments: str, code: int = 0) -> str:
        """Run a stage, check its exit code, return what it printed."""
        command = [sys.executable, "-m", f"pipelines.{stage}", *self.choices, *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, rows_csv: Path) -> House:
    """demo:1, which learnt for 60 steps, and demo:2, which hardly learnt."""
    house = House(tmp_path_factory.mktemp("house") / "mlruns", rows_csv)
    house("train", "train.max_steps=60")
    house("train", "train.max_steps=1")
    return house
