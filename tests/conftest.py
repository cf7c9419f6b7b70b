"""What all tests share: configurations composed as the commands do, and rows that a small model can learn."""

import contextlib
import csv
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how long a call takes says nothing here
settings.load_profile("untimed")
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes with a thread for every core would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

with contextlib.redirect_stderr(sys.__stderr__):
    # rouge-score's logger closes the stream that it found at import when Hydra sets up logging: not pytest's own.
    import absl.logging  # noqa: F401

REPOSITORY = Path(__file__).parents[1]
WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "grape", "melon", "fig", "lemon"],
    "metal": ["iron", "copper", "zinc", "tin", "silver", "gold", "nickel", "lead"],
    "river": ["rhine", "danube", "nile", "volga", "seine", "thames", "elbe", "po"],
}
FILLER = ["the", "a", "of", "with", "near", "under", "old", "new", "big", "small", "one", "two"]


def make_rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts whose label follows from the two telling words among fillers, each text once."""
    rng = random.Random(seed)
    rows: dict[str, str] = {}
    while len(rows) < count:
        label = rng.choice(sorted(WORDS))
        words = rng.choices(FILLER, k=rng.randint(3, 9)) + rng.choices(WORDS[label], k=2)
        rng.shuffle(words)
        rows[" ".join(words)] = label
    return list(rows.items())


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    """A CSV file with the columns text and label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    return path


def compose_config(*overrides: str):
    """A `Config` from command-line overrides."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from sluice.config import load

    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(REPOSITORY / "conf")):
        return load(compose("config", overrides=list(overrides)))


@pytest.fixture(scope="session")
def rows_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("rows") / "rows.csv", make_rows(400))


@pytest.fixture(autouse=True)
def own_tracking_store():
    """mlflow leaves the store that a test opened in the environment: no other test may find it there."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)
