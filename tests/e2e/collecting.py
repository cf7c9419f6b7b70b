"""Clean-ups that are killed among versions that come and go, as a script: each step is a process of its own.

Usage: python -m tests.e2e.collecting ROOT BUNDLE TEST ROUNDS; prints one JSON line a round.
"""

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

from sluice.files import folder_digest, link_tree
from sluice.inference.bundle import Bundle
from sluice.registry import promotions
from sluice.registry.runs import open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, find, intact, move_alias, register, run_file
from tests.e2e.forks import command, in_fork

NAME = "demo"


def grow(root: Path, bundle: Path, test: Path, seed: int) -> None:
    """Register a version with a run and a child; decide about some, and leave some runs and models in bad shape."""
    rng, store = random.Random(seed), Store(root, None)
    with open_run(store, NAME, f"parent-{seed}", f"parent-{seed}") as run:
        run.files(test, "test")
        with open_run(store, NAME, "evaluate", f"child-{seed}", run) as child:
            child.files(test)
        folder = root / f"making-{seed}" / "bundle"
        link_tree(bundle, folder)
        plain = Bundle.read(folder)
        lineage = plain.lineage.model_copy(update={"run": run.id})
        plain.model_copy(update={"lineage": lineage}).write(folder)
        version = register(
            store, run, NAME, folder, key=f"version-{seed}", digest=folder_digest(folder), card=f"round {seed}"
        )
        shutil.rmtree(folder.parent)
    if rng.random() < 0.4:
        decide(store, root, version.number, rng.random() < 0.7)
    deleted = open_run(store, NAME, "deleted", f"deleted-{seed}")
    deleted.text("x", "text.txt")
    deleted.finish()
    store.client.delete_run(deleted.id)
    if rng.random() < 0.3:
        store.client.delete_model_version(NAME, str(version.number)) if not spoken_for(store, version) else None


def decide(store: Store, root: Path, number: int, promoted: bool) -> None:
    champion = store.client.get_registered_model(NAME).aliases.get(CHAMPION)
    run = promotions.begin(store, NAME, "promote", int(champion) if champion else None, number, None)
    if promoted:
        move_alias(store, NAME, CHAMPION, number)
    promotions.end(run, "done" if promoted else "refused", [])
    folder = root / "work" / "receipts"
    folder.mkdir(parents=True, exist_ok=True)
    models = {"challenger": {"version": number}, "champion": {"version": int(champion)} if champion else None}
    (folder / f"{number}.json").write_text(json.dumps({"name": NAME, **models}))


def spoken_for(store: Store, version) -> bool:
    told = promotions.history(store, NAME)
    return version.number in {decision.target for decision in told}


def check(root: Path) -> None:
    """Everything that is still named is whole; prints the versions that are left."""
    store = Store(root, None)
    model = store.client.get_registered_model(NAME)
    wanted = {int(number) for number in model.aliases.values()}
    for decision in promotions.history(store, NAME):
        wanted |= {decision.target} | ({decision.source} if decision.source else set())
    left = {int(one.version) for one in store.client.search_model_versions(f"name = '{NAME}'")}
    assert wanted <= left, (wanted, left)
    for number in left:
        version = find(store, NAME, number)
        intact(store, version)
        assert (run_file(store, version.run_id, "test") / "rows.parquet").exists()
    before = promotions.previous(store, NAME)
    assert before is None or before in left
    print(json.dumps({"left": sorted(left), "wanted": sorted(wanted)}))


def collect(arguments: list[str], steps: int | None) -> None:
    """`make gc`, which dies just before it renames or removes something of the artifacts for the `steps`-th time."""
    seen = 0

    def count(event: str, values: tuple) -> None:
        nonlocal seen
        if event in ("os.rename", "os.remove", "os.rmdir") and "artifacts" in str(values[0]):
            seen += 1
            if seen == steps:
                os.kill(os.getpid(), signal.SIGKILL)

    if steps is not None:
        sys.addaudithook(count)
    command("gc", arguments)


def in_child(work, output: Path) -> str:
    code = os.waitstatus_to_exitcode(os.waitpid(in_fork(work, output), 0)[1])
    told = output.read_text()
    assert code == 0, told
    return told


def main(root: Path, bundle: Path, test: Path, rounds: int) -> None:
    rng, output = random.Random(0), root.parent / "told.txt"
    eager = [f"root={root}", f"name={NAME}", "retention.keep_versions=1", "retention.keep_days=0"]
    eager += ["retention.leftover_days=0"]
    root.mkdir(parents=True)
    for number in range(rounds):
        for step in range(2):
            in_child(lambda seed=2 * number + step: grow(root, bundle, test, seed), output)
        steps = rng.randrange(1, 6) if number % 3 else None
        child = in_fork(lambda steps=steps: collect(eager, steps), output)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told = output.read_text()
        print(json.dumps({"code": code, "told": told, **json.loads(in_child(lambda: check(root), output))}), flush=True)
    in_child(lambda: command("gc", eager), output)
    last = json.loads(in_child(lambda: check(root), output))
    told = in_child(lambda: command("gc", eager), output)
    files = sum(path.is_dir() for path in root.glob("artifacts/demo/models/*/artifacts"))
    print(json.dumps({"code": 0, "told": told, "models": files, **last}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
