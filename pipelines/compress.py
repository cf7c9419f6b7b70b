"""Smaller and faster variants of a registered version: measured beside it, and a version themselves where they hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import evaluate, finetune, forms, preprocess, register
from pipelines.shared.entry import REFUSED, main
from pipelines.shared.session import Session, Variant, named
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle, Form, parameters, weights_size
from sluice.models.checkpoint import Checkpoint
from sluice.models.fewer import FewerLayers, Reshaped
from sluice.part import digest
from sluice.registry.runs import Run, open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, Version, by_digest, find, intact
from sluice.workspace import Output

CHECKPOINT, WEIGHTS = "checkpoint", "model.safetensors"
DONE = {"distill": "distilled", "prune": "pruned"}
YARDSTICK = ("sluice.evaluation.forms", "sluice.evaluation.tradeoff")


@dataclass(frozen=True)
class Origin:
    """The version that is made smaller."""

    version: Version
    bundle: Path


def command(cfg: Config) -> int:
    """`make compress`."""
    store = Store(cfg.root, cfg.tracking_uri)
    origin = _original(store, cfg)
    variant = Variant("-".join(cfg.compress.weights) or "forms", origin.version.digest, cfg.compress)
    with Session(cfg, above=Run(store, origin.version.run_id), variant=variant) as session:
        prepared = preprocess.run(session)
        _check(cfg, prepared, origin)
        learnt, weighed = _learn(session, prepared, origin)
        stopped = weighed[-1].record["refused"] if weighed else None
        formed = None if stopped else forms.run(session, prepared, learnt, cfg.compress.forms, compressing=True)
        compared = compare(session, prepared, origin, weighed, formed)
        if why := compared.record["nothing"]:
            print(f"\nNothing is registered: {why}")
            return REFUSED if compared.record["refused"] else 0
        measured = evaluate.run(session, prepared, learnt)
        version = register.run(session, prepared, learnt, measured, formed=formed, compared=compared)
    print(f"\n{version}, made of {origin.version}, is the challenger. Next: make promote{named(cfg.name)}")
    return 0


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
    theirs, ours = bundle.lineage.split, prepared.record["split"]
    if theirs != ours:
        told = f"{origin.version} learnt from other rows: split {theirs[:12]}, not {ours[:12]}"
        raise UserError(f"{told}. Give the data settings that it was trained with")


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
        from sluice.inference.engines.formed import remove_form
        from sluice.registry.card import CARD

        bundle = folder / "bundle"
        link_tree(origin.bundle, bundle)
        (bundle / CARD).unlink(missing_ok=True)
        described = Bundle.read(bundle)
        for name in described.forms:
            remove_form(name, bundle)
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
        form = yardstick.measure(WEIGHTS, TorchEngine(), learnt.folder / "bundle", memory=True)
        why = session.cfg.compress.refusal(form) or no_better(form, weights_size(origin.bundle))
        return {"name": name, "form": form.model_dump(), "refused": why}

    return session.stage("weigh", _key(session, prepared, origin, learnt.record["digest"]), build)


def compare(session: Session, prepared: Output, origin: Origin, weighed: list[Output], formed: Output | None) -> Output:
    """All variants beside the version's own weights on validation rows: a table, a plot, a run each.

    The record says under `nothing` why none of them is worth to be registered, and what was `refused`.
    """
    key = _key(session, prepared, origin, [one.key for one in weighed], formed and formed.key)

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.evaluation.tradeoff import markdown, nothing_new, plot, table

        variants, refused = (_smaller if weighed else _same)(session, prepared, origin, weighed, formed)
        record = {
            "version": str(origin.version),
            "size": weights_size(origin.bundle),
            "variants": {name: form.model_dump() for name, form in variants.items()},
            "new": [name for name in variants if _is_new(name, origin, weighed)],
            "refused": refused,
        }
        record["nothing"] = nothing_new(record)
        if variants:
            print(table(record), flush=True)
            child.text(markdown(record), "variants.md")
            child.file(plot(record, folder))
        for name, form in variants.items():
            _note(session, child, origin, name, form, refused.get(name))
        return record

    return session.stage("variants", key, build)


def _is_new(name: str, origin: Origin, weighed: list[Output]) -> bool:
    """Whether a variant is of what would be registered, and the version has it not yet."""
    if weighed:
        return name.startswith(f"{weighed[-1].record['name']} ")
    return name not in Bundle.read(origin.bundle).forms


Measured = tuple[dict[str, Form], dict[str, str]]
"""Variants by name, and why some of them are refused."""


def _same(session: Session, prepared: Output, origin: Origin, weighed: list[Output], formed: Output | None) -> Measured:
    """Forms of the version's own weights were held against those when they were made."""
    record = formed.record if formed else {"forms": {}, "refused": {}}
    return {name: Form.model_validate(form) for name, form in record["forms"].items()}, record["refused"]


def _smaller(
    session: Session, prepared: Output, origin: Origin, weighed: list[Output], formed: Output | None
) -> Measured:
    """The smaller model and its forms, beside those that the version has."""
    from sluice.inference.engines.formed import engine_of, unfit

    yardstick, bounds = _yardstick(session, prepared, origin), session.cfg.compress
    variants: dict[str, Form] = {}
    done = weighed[-1].record["name"]
    bundles = {"": origin.bundle, f"{done} ": formed.folder / "bundle" if formed else None}
    refused = {f"{one.record['name']} torch": one.record["refused"] for one in weighed if one.record["refused"]}
    variants |= {f"{one.record['name']} torch": Form.model_validate(one.record["form"]) for one in weighed}
    for before, bundle in bundles.items():
        for name, form in (Bundle.read(bundle).forms if bundle else {}).items():
            if unfit(name) is None:
                found = yardstick.measure(form.file, engine_of(name), bundle, memory=True)
                variants[f"{before}{name}"] = found
                if before and (why := bounds.refusal(found)):
                    refused[f"{before}{name}"] = why
    return variants, refused


def _note(session: Session, above: Run, origin: Origin, name: str, form: Form, refused: str | None) -> None:
    """A run for a variant, whose lineage is the version."""
    key = digest([session.key, origin.version.digest, name])
    about = {"variant_of": str(origin.version), "parent": origin.version.digest, "refused": refused or "no"}
    tags = {f"sluice.{one}": told for one, told in about.items()}
    with open_run(session.store, session.cfg.name, name, key, above, tags) as run:
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
    drawn = (cfg.evaluate.resamples, cfg.evaluate.confidence, cfg.evaluate.latency_texts)
    made = (cfg.seed, drawn, origin.version.digest, prepared.record["split"])
    return session.stage_key((cfg.compress, cfg.task), YARDSTICK, *made, *inputs)


if __name__ == "__main__":
    main(command)
