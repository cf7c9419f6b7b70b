"""Smaller and faster variants of a registered version: measured beside it, and a version themselves where they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pipelines import evaluate, finetune, forms, preprocess, register
from pipelines.shared.beside import Origin, compare, weigh
from pipelines.shared.entry import REFUSED, main
from pipelines.shared.session import Derived, Session
from sluice.compression.settings import Compress, Forms
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle, parameters
from sluice.inference.engines.formed import FormName, remove_form, unfit
from sluice.models.checkpoint import Checkpoint
from sluice.models.fewer import FewerLayers, Reshaped
from sluice.registry.runs import Run
from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, by_digest, find, intact
from sluice.workspace import Output

CHECKPOINT = "checkpoint"
DONE = {"distill": "distilled", "prune": "pruned"}


def command(cfg: Config) -> int:
    """`make compress`."""
    store, plan = Store(cfg.root, cfg.tracking_uri), cfg.compress
    origin = _original(store, cfg)
    derived = Derived("-".join(plan.weights) or "forms", origin.version.digest, (plan, cfg.forms or Forms()))
    with Session(cfg, above=Run(store, origin.version.run_id), derived=derived) as session:
        prepared = preprocess.run(session)
        _check(cfg, prepared, origin)
        names = forms.fitting(_asked(plan, origin), origin.bundle, prepared.record["rows"]["train"])
        learnt, weighed = _learn(session, prepared, origin)
        stopped = weighed[-1].record["refused"] if weighed else None
        formed = None if stopped else forms.run(session, prepared, learnt, names)
        compared = compare(session, prepared, origin, learnt, weighed, formed)
        if why := compared.record["nothing"]:
            print(f"\nNothing is registered: {why}")
            return REFUSED if compared.record["refused"] else 0
        measured = evaluate.run(session, prepared, learnt)
        version = register.run(session, prepared, learnt, measured, compared=compared)
        print(f"\n{version} is made of {origin.version}. {register.following(session, version)}")
    return 0


def _asked(plan: Compress, origin: Origin) -> tuple[FormName, ...] | None:
    """The forms that the plan names; of the version's own weights, those that it has already are not lost."""
    if plan.forms is None or plan.weights:
        return plan.forms
    had = [name for name in Bundle.read(origin.bundle).forms if unfit(name) is None]
    return tuple(name for name in get_args(FormName) if name in (*had, *plan.forms))


def _original(store: Store, cfg: Config) -> Origin:
    """The version that is asked for; else the challenger, or what that was made of: asking twice is asking once."""
    version = find(store, cfg.name, cfg.version or CHALLENGER)
    bundle = intact(store, version)
    parent = None if cfg.version else Bundle.read(bundle).lineage.parent
    found = by_digest(store, cfg.name, parent) if parent else None
    return Origin(found, intact(store, found)) if found else Origin(version, bundle)


def _check(cfg: Config, prepared: Output, origin: Origin) -> None:
    """Raise UserError unless the rows are the version's own, and its task the one that is configured."""
    bundle = Bundle.read(origin.bundle)
    if bundle.task != cfg.task.name:
        raise UserError(f"{origin.version} is of task={bundle.task}, not of task={cfg.task.name}")
    lineage = bundle.lineage
    for what, theirs, ours in (
        ("rows", lineage.data, prepared.record["data"]),
        ("a split", lineage.split, prepared.record["split"]),
    ):
        if theirs != ours:
            told = f"{origin.version} learnt from {what} of digest {theirs[:12]}, not {ours[:12]}"
            raise UserError(f"{told}. Give the data settings that it was trained with")
    asked = cfg.task.model_dump(mode="json")
    if other := [name for name, value in asked.items() if bundle.fields.get(name, value) != value]:
        told = ", ".join(f"task.{name}={bundle.fields[name]}" for name in other)
        raise UserError(f"{origin.version} was trained with {told}: say so here, too")


def _learn(session: Session, prepared: Output, origin: Origin) -> tuple[Output, list[Output]]:
    """The model after the steps that make other weights, each weighed against the version; the first that does not
    hold is the last."""
    learnt, weighed, done = take(session, origin), [], []
    for step in session.cfg.compress.weights:
        learnt = (distill if step == "distill" else prune)(session, prepared, origin, learnt)
        done.append(DONE[step])
        weighed.append(weigh(session, prepared, origin, learnt, " ".join(done)))
        if weighed[-1].record["refused"]:
            break
    return learnt, weighed


def take(session: Session, origin: Origin) -> Output:
    """The version's own weights, without their forms, as what the plan begins with."""

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.files import folder_digest, link_tree
        from sluice.registry.card import CARD

        bundle = folder / "bundle"
        link_tree(origin.bundle, bundle)
        (bundle / CARD).unlink(missing_ok=True)
        described = Bundle.read(bundle)
        for form in described.forms.values():
            remove_form(form.file, bundle)
        lineage = described.lineage.model_copy(update={"parent": origin.version.digest})
        described.model_copy(update={"forms": {}, "lineage": lineage}).write(bundle)
        return {"digest": folder_digest(bundle), "parameters": parameters(bundle)}

    return session.stage("take", session.stage_key((), ("sluice.inference.bundle",), origin.version.digest), build)


def distill(session: Session, prepared: Output, origin: Origin, taken: Output) -> Output:
    """The student: some of the layers of `taken`, or new ones, after learning from the rows and from the version."""
    from transformers import AutoConfig

    folder, said = taken.folder / "bundle", session.cfg.compress.student
    if said.config:
        return _taught(session, "distill", prepared, origin, Reshaped(path=str(folder), config=said.config), taken, 0)
    layers = said.layers or max(1, AutoConfig.from_pretrained(folder).num_hidden_layers // 2)
    return _taught(session, "distill", prepared, origin, FewerLayers(path=str(folder), layers=layers), taken, layers)


def prune(session: Session, prepared: Output, origin: Origin, taken: Output) -> Output:
    """`taken`, cut by what validation rows show to matter, after learning again."""
    cfg, settings = session.cfg, session.cfg.compress.prune
    inputs = (cfg.seed, cfg.compress.rows, taken.record["digest"], prepared.record["split"])
    key = session.stage_key((settings, cfg.task), ("sluice.compression.prune",), *inputs)

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.compression.prune import prune
        from sluice.evaluation.forms import sample

        rows = sample(prepared.folder, cfg.compress.rows, cfg.seed)
        left = prune(taken.folder / "bundle", cfg.task.inputs(rows), settings, folder / CHECKPOINT)
        child.metrics({f"left/{name}": count for name, count in left.items()})
        print("left    " + ", ".join(f"{count:,} {name}" for name, count in left.items()), flush=True)
        return left

    cut = session.stage("prune", key, build)
    return _taught(session, "recover", prepared, origin, Checkpoint(path=str(cut.folder / CHECKPOINT)), taken, key)


def _taught(
    session: Session, name: str, prepared: Output, origin: Origin, spec: Checkpoint, taken: Output, how: Any
) -> Output:
    """A smaller model after it has learnt from the rows and from the version; `how` it was made of `taken`."""
    from sluice.training.distillation import Teacher

    cfg, said = session.cfg, session.cfg.compress.student
    key = session.stage_key(
        (said, cfg.task, cfg.train),
        ("sluice.training.bundle", "sluice.training.distillation", "sluice.models.fewer"),
        cfg.seed,
        origin.version.digest,
        taken.record["digest"],
        how,
        prepared.record["split"],
    )
    lineage = {"pretraining": Bundle.read(origin.bundle).lineage.pretraining, "parent": origin.version.digest}
    return finetune.learn(session, name, key, prepared, spec, lineage, teacher=Teacher(origin.bundle, said))


if __name__ == "__main__":
    main(command)
