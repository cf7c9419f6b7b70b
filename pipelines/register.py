"""The measured bundle as a version in the registry, with the alias `challenger`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines import evaluate, finetune, preprocess
from pipelines.entry import main
from pipelines.session import Session
from sluice.config import Config
from sluice.registry.runs import NOTE, Run
from sluice.registry.versions import Version, lookup
from sluice.workspace import Output


def run(session: Session, prepared: Output, fitted: Output, evaluated: Output) -> Version:
    """The registered version; one that was deleted from MLflow since is registered again."""
    cfg = session.cfg
    inputs = [cfg.name, session.store.identity, fitted.record["digest"], evaluated.key]
    key = session.stage_key((cfg.task,), ("sluice.registry.versions",), *inputs)

    def build(folder: Path, child: Run) -> dict[str, Any]:
        return _register(session, prepared, fitted, evaluated, key, folder, child)

    output = session.stage("register", key, build)
    version = lookup(session.store, cfg.name, output.record["version"])
    if version is None:
        session.workspace.forget(output)
        return run(session, prepared, fitted, evaluated)
    return version


def _register(
    session: Session, prepared: Output, fitted: Output, evaluated: Output, key: str, folder: Path, child: Run
) -> dict[str, Any]:
    from sluice.evaluation.report import markdown
    from sluice.files import folder_digest, link_tree
    from sluice.inference.bundle import Bundle
    from sluice.registry.card import card
    from sluice.registry.versions import register

    cfg, parent = session.cfg, session.parent
    bundle = folder / "bundle"
    link_tree(fitted.folder / "bundle", bundle)
    plain = Bundle.read(bundle)
    lineage = plain.lineage.model_copy(update={"run": parent.id})
    described = plain.model_copy(update={"lineage": lineage, "metrics": evaluated.record["metrics"]})
    described.write(bundle)
    text = card(cfg.name, described, prepared.record, fitted.record, markdown(evaluated.record), evaluated.record)
    (bundle / "README.md").write_text(text, encoding="utf-8")
    digest = folder_digest(bundle)
    parent.files(evaluated.folder / evaluate.TEST, evaluate.TEST)
    parent.params(finetune.params(cfg))
    parent.tags({NOTE: text, "sluice.bundle": digest, "sluice.data": lineage.data, "sluice.split": lineage.split})
    parent.dataset(cfg.data.name, lineage.data, str(prepared.folder), "training")
    version = register(session.store, parent, cfg.name, bundle, key=key, digest=digest, card=text)
    child.tags({"sluice.version": str(version), "sluice.bundle": digest})
    return {"version": version.number, "digest": digest}


def command(cfg: Config) -> None:
    """`make register`, which is all of `make train`: every stage before it runs or is found done."""
    with Session(cfg) as session:
        prepared = preprocess.run(session)
        fitted = finetune.run(session, prepared)
        evaluated = evaluate.run(session, prepared, fitted)
        version = run(session, prepared, fitted, evaluated)
    print(f"\n{version} is the challenger. Next: make promote{_named(cfg)}")


def _named(cfg: Config) -> str:
    return "" if cfg.name == "apidocs" else f' ARGS="name={cfg.name}"'


if __name__ == "__main__":
    main(command)
