"""Smaller and faster variants of a registered version: measured beside it, and a version themselves where they hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pipelines import evaluate, finetune, forms, preprocess, register
from pipelines.shared.entry import REFUSED, main
from pipelines.shared.session import Derived, Session
from sluice.compression.settings import Compress, Forms
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle, Form, parameters, weights_size
from sluice.inference.engines.formed import FormName, engine_of, remove_form, unfit
from sluice.models.checkpoint import Checkpoint
from sluice.models.fewer import FewerLayers, Reshaped
from sluice.part import digest
from sluice.registry.runs import Run, open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, Version, by_digest, find, intact
from sluice.workspace import Output

CHECKPOINT = "checkpoint"
TORCH = "torch"
"""What a variant's own weights are called, beside the names of its forms."""
DONE = {"distill": "distilled", "prune": "pruned"}
YARDSTICK = ("sluice.evaluation.forms", "sluice.evaluation.tradeoff")


@dataclass(frozen=True)
class Origin:
    """The version that is made smaller."""

    version: Version
    bundle: Path


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


def weigh(session: Session, prepared: Output, origin: Origin, learnt: Output, name: str) -> Output:
    """A smaller model's own weights beside the version's, and why they do not hold, or None."""

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.evaluation.tradeoff import no_better
        from sluice.inference.engines.torch import TorchEngine

        yardstick = _yardstick(session, prepared, origin)
        form = yardstick.measure(None, TorchEngine(), learnt.folder / "bundle", memory=True)
        why = session.cfg.compress.refusal(form) or no_better(form, weights_size(origin.bundle))
        return {"name": name, "form": form.model_dump(), "refused": why}

    return session.stage("weigh", _key(session, prepared, origin, learnt.record["digest"]), build)


def compare(
    session: Session, prepared: Output, origin: Origin, learnt: Output, weighed: list[Output], formed: Output | None
) -> Output:
    """All variants beside the version's own weights on validation rows: a table, a plot, a run each.

    `bundle/` is the smaller model with the forms that hold. The record says under `nothing` why it is not worth to be
    a version, and what was `refused`.
    """
    key = _key(session, prepared, origin, learnt.record["digest"], [one.key for one in weighed], formed and formed.key)

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.evaluation.tradeoff import markdown, nothing_new, plot, table

        found = (_smaller if weighed else _same)(session, prepared, origin, weighed, formed)
        record = {
            "version": str(origin.version),
            "size": weights_size(origin.bundle),
            "variants": {name: form.model_dump() for name, form in found.variants.items()},
            "had": [name for name in found.variants if name in Bundle.read(origin.bundle).forms],
            "new": [name for name in found.new if name not in Bundle.read(origin.bundle).forms],
            "refused": found.refused,
        }
        record["nothing"] = nothing_new(record)
        if found.variants:
            print(table(record), flush=True)
            child.text(markdown(record), "variants.md")
            child.file(plot(record, folder))
        for name, form in found.variants.items():
            _note(session, child, origin, name, form, found.refused.get(name))
        _keep(formed or learnt, {form for name, form in found.new.items() if name in found.refused}, folder / "bundle")
        return record

    return session.stage("variants", key, build)


@dataclass(frozen=True)
class Found:
    """What was measured of variants, by name."""

    variants: dict[str, Form]
    refused: dict[str, str]
    """Why some of them do not hold."""
    new: dict[str, str]
    """Those that the plan comes to, and what each is called in the bundle."""


def _same(session: Session, prepared: Output, origin: Origin, weighed: list[Output], formed: Output | None) -> Found:
    """Forms of the version's own weights were held against those when they were made."""
    record = formed.record if formed else {"forms": {}, "refused": {}}
    variants = {name: Form.model_validate(form) for name, form in record["forms"].items()}
    return Found(variants, record["refused"], {name: name for name in variants})


def _smaller(session: Session, prepared: Output, origin: Origin, weighed: list[Output], formed: Output | None) -> Found:
    """The smaller model and its forms, beside those that the version has.

    A form of the smaller model was held against that model's weights by the bounds of `forms`; here it is held
    against the version's by those of `compress`.
    """
    yardstick, bounds, done = _yardstick(session, prepared, origin), session.cfg.compress, weighed[-1].record["name"]
    variants, refused = {}, {}
    for one in weighed:
        name = f"{one.record['name']} {TORCH}"
        variants[name] = Form.model_validate(one.record["form"])
        if one.record["refused"]:
            refused[name] = one.record["refused"]
    for name, form in Bundle.read(origin.bundle).forms.items():
        if unfit(name) is None:
            variants[name] = yardstick.measure(form.file, engine_of(name), memory=True)
    new = {f"{done} {TORCH}": TORCH}
    made = Bundle.read(formed.folder / "bundle").forms if formed else {}
    for name, form in made.items():
        found = yardstick.measure(form.file, engine_of(name), formed.folder / "bundle", memory=True)  # type: ignore[union-attr]
        variants[f"{done} {name}"], new[f"{done} {name}"] = found, name
        if why := bounds.refusal(found):
            refused[f"{done} {name}"] = why
    for name, why in (formed.record["refused"] if formed else {}).items():
        refused[f"{done} {name}"] = f"beside its own weights {why}"
    return Found(variants, refused, new)


def _keep(made: Output, refused: set[str], bundle: Path) -> None:
    """The bundle without the forms that do not hold."""
    from sluice.files import link_tree

    link_tree(made.folder / "bundle", bundle)
    described = Bundle.read(bundle)
    for name in refused & set(described.forms):
        remove_form(described.forms[name].file, bundle)
    kept = {name: form for name, form in described.forms.items() if name not in refused}
    described.model_copy(update={"forms": kept}).write(bundle)


def _note(session: Session, above: Run, origin: Origin, name: str, form: Form, refused: str | None) -> None:
    """A run for a variant, whose lineage is the version."""
    key = digest([session.key, origin.version.digest, name])
    about = {"variant_of": str(origin.version), "parent": origin.version.digest, "refused": refused or "no"}
    tags = {f"sluice.{one}": told for one, told in about.items()}
    with open_run(session.store, session.cfg.name, name, key, above) as run:
        run.tags(tags)
        together = form.together.value if form.together else None
        figures = {
            "size": form.size,
            "memory": form.memory,
            "agreement": form.agreement,
            "difference": form.difference.value,
            "calibration": form.calibration,
            "speed": form.speed.value,
            "speed_together": together,
            "control": form.control,
        }
        run.metrics({f"variant/{one}": float(value) for one, value in figures.items() if value is not None})


def _yardstick(session: Session, prepared: Output, origin: Origin) -> Any:
    from sluice.evaluation.forms import Yardstick, sample

    cfg = session.cfg
    return Yardstick(origin.bundle, sample(prepared.folder, cfg.compress.rows, cfg.seed), cfg.evaluate, cfg.seed)


def _key(session: Session, prepared: Output, origin: Origin, *inputs: Any) -> str:
    cfg = session.cfg
    made = (cfg.seed, cfg.evaluate.measuring, origin.version.digest, prepared.record["split"])
    return session.stage_key((cfg.compress, cfg.task), YARDSTICK, *made, *inputs)


if __name__ == "__main__":
    main(command)
