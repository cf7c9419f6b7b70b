"""What the project promises about itself: pins, wording of errors, quick answers without heavy imports."""

import importlib
import re
import socket
import subprocess
import sys

import pytest
from hydra.core.global_hydra import GlobalHydra

from pipelines.shared.entry import main
from tests.conftest import REPOSITORY, compose_config

HEAVY = ("torch", "transformers", "mlflow", "datasets", "evaluate", "sklearn", "pandas", "bentoml")


def test_constraints_pin_public_versions_only():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line.split(";")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", pin)] == []


def test_every_dependency_has_a_lower_bound():
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    for dependency in [*project["dependencies"], *extras]:
        own = dependency.startswith("sluice[")
        assert own or ">=" in dependency or "==" in dependency, dependency


def test_configuration_and_every_command_need_no_heavy_import():
    commands = sorted(path.stem for path in (REPOSITORY / "pipelines").glob("*.py") if path.stem != "__init__")
    code = (
        f"import sys; {'; '.join(f'import pipelines.{command}' for command in commands)};"
        "from tests.conftest import compose_config; compose_config();"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def mistake(capfd, *arguments: str, stage: str = "train") -> str:
    """What a command prints on standard error when it exits with 2, after one or two lines and no traceback."""
    sys.argv = [f"pipelines/{stage}.py", *arguments]
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stop:
        main(importlib.import_module(f"pipelines.{stage}").command)
    told = capfd.readouterr().err
    assert stop.value.code == 2, told
    assert len(told.strip().splitlines()) <= 2, told
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["train.lerning_rate=1"], "unknown setting train.lerning_rate. Did you mean learning_rate?"),
        (["train.lora={rnk: 4}"], "unknown setting train.lora.rnk. Did you mean rank?"),
        (["experiment=embed", "task.matryoshka=[0]"], "task.matryoshka.0=0: Input should be greater than 0"),
        (["+train.qqq=1"], "unknown setting train.qqq. Known: max_steps"),
        (["data=files", "data.encodin=latin-1"], "unknown setting data.encodin. Did you mean encoding?"),
        (["data=files", "data.columns={author: a}"], "+data.columns.<entry>=..."),
        (["train.epochs=abc"], "train.epochs=abc: Input should be a valid number"),
        (
            ["evaluate.abstain.accuracy=0.9", "evaluate.abstain.coverage=0.8"],
            "evaluate.abstain: expected exactly one of",
        ),
        (["evaluate.abstain.balance=0.5"], "evaluate: abstain by balance 0.5 needs evaluate.out_of_scope=<label>"),
        (["data=fles"], "Could not find 'data/fles'"),
        (["data=files"], "data.train is missing: set it with data.train=..."),
        (["foo"], "'foo' sets nothing: expected setting=value"),
        (["name=Not A Name"], "name=Not A Name"),
        (["data=files", "data.train=/nowhere/rows.csv"], "/nowhere/rows.csv"),
        (["model=checkpoint", "model.path=/nowhere/model"], "/nowhere/model does not exist"),
        (["pretrain.max_steps=5"], "unknown setting pretrain.max_steps. Known: enabled"),
        (["pretrain=mlm", "pretrain.corpus=/nowhere/*.txt"], "pretrain.corpus=/nowhere/*.txt matches no file"),
        (["tracking_uri=http://127.0.0.1:9"], "no MLflow server answers at http://127.0.0.1:9"),
    ],
)
def test_a_mistake_is_one_or_two_lines_and_exit_code_2(arguments: list[str], wanted: str, tmp_path, capfd):
    assert wanted in mistake(capfd, *arguments, f"root={tmp_path}/out")


def test_a_mistake_in_a_process_of_its_own():
    command = [sys.executable, "-m", "pipelines.train", "train.lerning_rate=1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown setting train.lerning_rate. Did you mean learning_rate?\n"


def test_an_unwritable_root_is_one_line(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    assert "root=/some/folder" in mistake(capfd, f"root={tmp_path}/file/out")


@pytest.mark.slow
def test_a_server_that_never_answers_is_reported_within_its_time(tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = mistake(capfd, f"tracking_uri=http://127.0.0.1:{silent.getsockname()[1]}", f"root={tmp_path}/out")
    assert "within 10 s" in told


def test_a_taken_port_is_one_line(tmp_path, capfd):
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 5000))
            taken.listen()
        except OSError:
            pass  # something else has it: all the same to us
        assert "port 5000 is taken" in mistake(capfd, f"root={tmp_path}/out", stage="ui")


def test_an_unknown_choice_names_the_others_and_no_paths():
    from hydra.errors import HydraException

    from pipelines.shared.wording import explain

    with pytest.raises(HydraException) as raised:
        compose_config("model=huge")
    told = explain(raised.value)
    assert "tiny" in told
    assert "file://" not in told
