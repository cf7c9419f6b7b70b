"""The variants of a version, measured beside its own weights: what they cost and bring, and which of them hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.shared.session import Session
from sluice.inference.bundle import Bundle, Form, weights_size
from sluice.inference.engines.formed import engine_of, remove_form, unfit
from sluice.part import digest
from sluice.registry.runs import Run, open_run
from sluice.registry.versions import Version
from sluice.workspace import Output

TORCH = "torch"
"""What a variant's own weights are called, beside the names of its forms."""
YARDSTICK = ("sluice.evaluation.forms", "sluice.evaluation.tradeoff")


@dataclass(frozen=True)
class Origin:
    """The version that is made smaller."""

    version: Version
    bundle: Path


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
