"""Where the service finds what to serve."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving import resolve
from serving.follower import READY
from serving.slot import SlotDescription, read_descriptions, write_descriptions
from sluice.config import load_file, to_yaml
from sluice.errors import UserError
from tests.serving.live import ROOT


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and no variables of the developer's own."""
    monkeypatch.chdir(tmp_path)
    for name in (resolve.SLOTS, resolve.CONFIG):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def stand_in(folder: Path, lines: str, module: str = "follow") -> None:
    """A command of `pipelines` that keeps what it was asked."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    asked = f"import sys\nopen({str(folder / 'asked')!r}, 'w').write('\\n'.join(sys.argv[1:]))\n"
    (folder / "pipelines" / f"{module}.py").write_text(asked + lines)


def test_nothing_configured_gives_the_defaults(empty: Path) -> None:
    assert resolve.settings().port == 3000
    with pytest.raises(UserError, match="nothing promoted yet"):
        resolve.slots_path(resolve.settings())


def test_settings_come_from_the_file_that_is_named(
    empty: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(resolve.CONFIG, str(config_file))
    assert resolve.settings().workers == 2


def test_the_last_promotion_is_found(empty: Path, config_file: Path) -> None:
    resolve.PROMOTED.parent.mkdir(parents=True)
    resolve.PROMOTED.write_text(config_file.read_text())
    assert resolve.settings().workers == 2


def test_a_canary_that_is_not_what_was_promoted_keeps_no_service_from_starting(
    empty: Path, description: SlotDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = description.model_copy(update={"version": 8, "alias": "canary", "digest": "0" * 64, "folder": empty})
    write_descriptions(empty / "slots.json", [description, changed])
    monkeypatch.setenv(resolve.SLOTS, str(empty / "slots.json"))
    assert len(resolve.hand_over(resolve.settings())) == 2
    assert [task.verb for task in resolve.tasks()] == ["classify"]
    write_descriptions(empty / "slots.json", [changed])
    with pytest.raises(UserError, match="is not"):
        resolve.hand_over(resolve.settings())


ASKED = ["name='apidocs'", "root='mlruns'", "tracking_uri=null", "serve.models=[]"]
BOUNDS = [
    "share=0.1", "window_s=60.0", "min_answers=50", "max_failed=0.01", "max_slower=1.5", "max_disagreement=0.2"
]  # fmt: skip


def test_the_registry_is_followed_and_what_is_written_handed_over(
    empty: Path, config_file: Path, description: SlotDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(resolve.CONFIG, str(config_file))
    found = empty / "mlruns/work/serve/apidocs.json"
    found.parent.mkdir(parents=True)
    stand_in(
        empty,
        f"print('a library says hello')\n"
        f"open({str(found)!r}, 'w').write('[' + {description.model_dump_json()!r} + ']')\n"
        f"print({READY!r}, flush=True)\nsys.stdin.read()\nopen({str(empty / 'ended')!r}, 'w')",
    )
    code = "from serving import resolve; print(resolve.hand_over(resolve.settings())[0].id)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(empty), str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "apidocs:7"
    told = [*ASKED, "serve.poll_s=2.0", f"output='{found}'", *(f"serve.canary.{one}" for one in BOUNDS)]
    assert (empty / "asked").read_text().splitlines() == told
    for _ in range(100):  # it ends with who started it
        if (empty / "ended").exists():
            break
        time.sleep(0.05)
    assert (empty / "ended").exists()


def test_a_registry_that_is_not_followed_is_asked_once(
    empty: Path, config_file: Path, description: SlotDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(resolve.CONFIG, str(config_file))
    once = resolve.settings().model_copy(update={"poll_s": None})
    stand_in(empty, f"print('a library says hello')\nprint('[' + {description.model_dump_json()!r} + ']')", "resolve")
    assert resolve.hand_over(once) == [description]
    assert (empty / "asked").read_text().splitlines() == ASKED
    found = Path(os.environ[resolve.SLOTS])
    assert found == empty / "mlruns/work/serve/apidocs.json"
    assert read_descriptions(found) == [description]


def test_a_password_of_the_registry_stands_in_no_argument(
    empty: Path, config_file: Path, description: SlotDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_file(config_file).model_copy(update={"tracking_uri": "http://me:secret@host:5000"})
    (empty / "config.yaml").write_text(to_yaml(config))
    monkeypatch.setenv(resolve.CONFIG, str(empty / "config.yaml"))
    once = resolve.settings().model_copy(update={"poll_s": None})
    lines = f"import os\nassert os.environ['{resolve.REGISTRY}'].startswith('http://me:secret')\n"
    stand_in(empty, f"{lines}print('[' + {description.model_dump_json()!r} + ']')", "resolve")
    assert resolve.hand_over(once) == [description]
    assert "secret" not in (empty / "asked").read_text()
    assert f"tracking_uri=${{oc.env:{resolve.REGISTRY}}}" in (empty / "asked").read_text()


def test_two_services_do_not_write_each_other_s_file(tmp_path: Path) -> None:
    names = [resolve._copy(tmp_path, "apidocs", models).name for models in ((), ("apidocs",), ("apidocs", "apichat"))]
    assert len(set(names)) == 3


def test_the_registry_s_refusal_is_passed_on(empty: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(resolve.CONFIG, str(config_file))
    stand_in(empty, "sys.exit('error: apidocs has no champion yet')")
    with pytest.raises(UserError, match="apidocs has no champion yet"):
        resolve.hand_over(resolve.settings())


def test_a_bento_holds_all_that_it_needs(
    empty: Path, bundle: Path, config_file: Path, description: SlotDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "HOME", empty)
    (empty / "bundle").symlink_to(bundle)
    (empty / "config.yaml").write_text(config_file.read_text())
    packed = description.model_copy(update={"folder": Path("bundle")})
    write_descriptions(empty / "slots.json", [packed])
    assert resolve.hand_over(resolve.settings())[0].folder == empty / "bundle"
    assert resolve.settings().workers == 2


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "a b"}]'])
def test_a_broken_description_is_named(empty: Path, text: str) -> None:
    (empty / "slots.json").write_text(text)
    with pytest.raises(UserError, match=r"slots\.json does not describe models to serve"):
        read_descriptions(empty / "slots.json")


def test_without_an_alias_no_alias_is_answered_to(description: SlotDescription) -> None:
    assert description.answers_to("apidocs@champion")
    assert not description.model_copy(update={"alias": None}).answers_to("apidocs@None")


def test_a_drain_that_hangs_is_ended() -> None:
    code = (
        "import signal, time; from serving.process import end_within\n"
        "signal.signal(signal.SIGTERM, lambda *_: None); end_within(0.3)\n"
        "print('ready', flush=True); time.sleep(30)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(timeout=5) == 1
    process.stdout.close()
