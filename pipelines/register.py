"""The measured bundle as a version in the registry, with the alias `challenger`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines import compare, crossvalidate, evaluate, finetune, forms, preprocess
from pipelines.shared.entry import main
from pipelines.shared.session import Session, named
from sluice.config import Config
from sluice.inference.bundle import Bundle
from sluice.registry.runs import NOTE, Run
from sluice.registry.versions import CHALLENGER, Version, lookup
from sluice.workspace import Output


def run(
    session: Session,
    prepared: Output,
    fitted: Output,
    evaluated: Output,
    folded: Output | None = None,
    formed: Output | None = None,
    compared: Output | None = None,
) -> Version:
    """The registered version; one that was deleted from MLflow since is registered again."""
    cfg = session.cfg
    made = [evaluated.key, folded and folded.key, formed and formed.key, *([compared.key] if compared else [])]
    inputs = [cfg.name, session.store.identity, fitted.record["digest"], *made]
    key = session.stage_key((cfg.task,), ("sluice.registry.versions",), *inputs)

    def build(folder: Path, child: Run) -> dict[str, Any]:
        return _register(session, prepared, fitted, evaluated, folded, formed, compared, key, folder, child)

    output = session.stage("register", key, build)
    version = lookup(session.store, cfg.name, output.record["version"])
    if version is None:
        session.workspace.forget(output)
        return run(session, prepared, fitted, evaluated, folded, formed, compared)
    return version


def _register(
    session: Session,
    prepared: Output,
    fitted: Output,
    evaluated: Output,
    folded: Output | None,
    formed: Output | None,
    compared: Output | None,
    key: str,
    folder: Path,
    child: Run,
) -> dict[str, Any]:
    from sluice.evaluation import tradeoff
    from sluice.evaluation.report import markdown, markdown_of_folds, markdown_of_forms
    from sluice.files import folder_digest, link_tree
    from sluice.registry.card import CARD, card
    from sluice.registry.versions import register

    cfg, parent = session.cfg, session.parent
    bundle = folder / "bundle"
    link_tree((compared or formed or fitted).folder / "bundle", bundle)
    plain = Bundle.read(bundle)
    lineage = plain.lineage.model_copy(update={"run": parent.id})
    measured = {name: evaluated.record[name] for name in ("metrics", "abstention")}
    described = Bundle.model_validate({**plain.model_dump(), "lineage": lineage, **measured})
    described.write(bundle)
    parts = [tradeoff.sentence(compared.record)] if compared else []
    parts += [markdown(evaluated.record)]
    parts += [markdown_of_folds(folded.record)] if folded else []
    parts += [tradeoff.markdown(compared.record)] if compared else [markdown_of_forms(formed.record)] if formed else []
    results = "\n\n".join(part for part in parts if part)
    text = card(cfg.name, described, prepared.record, fitted.record, results, evaluated.record)
    (bundle / CARD).write_text(text, encoding="utf-8")
    digest = folder_digest(bundle)
    parent.files(evaluated.folder / evaluate.TEST, evaluate.TEST)
    parent.params(finetune.params(cfg) if session.derived is None else {"made of": session.derived.name})
    parent.tags({"sluice.pretraining": lineage.pretraining or "none"})
    parent.tags({NOTE: text, "sluice.bundle": digest, "sluice.data": lineage.data, "sluice.split": lineage.split})
    parent.dataset(cfg.data.name, lineage.data, str(prepared.folder), "training")
    version = register(session.store, parent, cfg.name, bundle, key=key, digest=digest, card=text)
    child.tags({"sluice.version": str(version), "sluice.bundle": digest})
    return {"version": version.number, "digest": digest}


def command(cfg: Config) -> None:
    """`make register`, which is all of `make train`: every stage before it runs or is found done."""
    with Session(cfg) as session:
        prepared = preprocess.run(session)
        evaluate.check(session, prepared)
        crossvalidate.divide(session, prepared)  # its errors come before anything is trained
        fitted = finetune.run(session, prepared)
        evaluated = evaluate.run(session, prepared, fitted)
        formed = forms.run(session, prepared, fitted)
        folded = crossvalidate.run(session, prepared)
        compare.run(session, fitted, evaluated)
        version = run(session, prepared, fitted, evaluated, folded, formed)
    if session.job:
        print(f"\n{version} is registered", flush=True)  # the end of the sweep says which is the challenger
    else:
        print(f"\n{following(session, version)}")


def following(session: Session, version: Version) -> str:
    """The next command; a version that was registered before is the challenger no more where a later one is."""
    name = session.cfg.name
    challenger = lookup(session.store, name, CHALLENGER)
    if challenger and challenger.number != version.number:
        asked = named(name, f"version={version.number}")
        return f"{version} was registered before; the challenger is {challenger}. Next: make promote{asked}"
    return f"{version} is the challenger. Next: make promote{named(name)}"


if __name__ == "__main__":
    main(command)
