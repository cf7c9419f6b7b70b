"""A folder of its own for everything that the commands generate, with two registered versions in it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@dataclass
class House:
    """Runs commands as a user does, with all that they generate under `root`."""

    root: Path
    rows: Path
    forks: subprocess.Popen | None = None
    name: str = "demo"
    more: dict[str, str] = field(default_factory=dict)
    """Environment of its commands beyond this process's."""

    @property
    def choices(self) -> list[str]:
        names = [f"name={self.name}", f"root={self.root}"]
        return ["data=files", f"data.train={self.rows}", *names, "model=tiny", "debug=fast"]

    @property
    def environment(self) -> dict[str, str]:
        home = {
            "BENTOML_HOME": str(self.root.parent / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "SLUICE_GRPC_PORT": "0",
        }
        kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}  # mlflow sets it
        return {**kept, **home, **self.more}

    def __call__(self, stage: str, *arguments: str, code: int = 0) -> str:
        """Run a stage in a process of its own, check its exit code, return what it printed."""
        found, output = self.ask(stage, [*self.choices, *arguments])
        assert found == code, output
        assert "Traceback" not in output
        return output

    def ask(self, stage: str, arguments: list[str], cwd: Path = REPOSITORY) -> tuple[int, str]:
        """Run a stage with these arguments alone; its exit code and what it printed."""
        if self.forks is None:
            self.forks = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.forks"],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        request = {"stage": stage, "arguments": arguments, "cwd": str(cwd), "environment": self.more}
        self.forks.stdin.write(json.dumps(request) + "\n")
        self.forks.stdin.flush()
        answer = json.loads(self.forks.stdout.readline())
        return answer["code"], answer["output"]

    def close(self) -> None:
        """End the process that the commands were forked from."""
        if self.forks is not None:
            self.forks.stdin.close()
            self.forks.wait(30)


@pytest.fixture(scope="module")
def house(trained_house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A copy of the trained house that the tests of a file change as they like, whichever files ran before."""
    folder = tmp_path_factory.mktemp("house")
    own = {"BENTOML_HOME": str(folder / "bentoml")}
    house = House(folder / "mlruns", trained_house.rows, trained_house.forks, more=own)
    shutil.copytree(trained_house.root, house.root)
    house("relocate")
    return house


@pytest.fixture(scope="session")
def trained_house(tmp_path_factory: pytest.TempPathFactory, rows_csv: Path):
    """demo:1, which learnt for 60 steps, and demo:2, which hardly learnt."""
    house = House(tmp_path_factory.mktemp("house") / "mlruns", rows_csv)
    house("train", "train.max_steps=60")
    house("train", "train.max_steps=1")
    yield house
    house.close()
