"""A smaller model that a registered version teaches: measured beside it, and a version itself where it holds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines import evaluate, finetune, forms, preprocess, register
from pipelines.shared.entry import REFUSED, main
from pipelines.shared.session import Session, Variant, named
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine
from sluice.models.fewer import FewerLayers
from sluice.registry.runs import Run
from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, Version, find, intact
from sluice.workspace import Output

WEIGHTS = "model.safetensors"
TEACHER, STUDENT = "teacher", "student"


def command(cfg: Config) -> int:
    """`make compress`."""
    store = Store(cfg.root, cfg.tracking_uri)
    version = find(store, cfg.name, cfg.version or CHALLENGER)
    teacher = intact(store, version)
    variant = Variant("distill", version.digest, cfg.compress)
    with Session(cfg, above=Run(store, version.run_id), variant=variant) as session:
        prepared = preprocess.run(session)
        _check(session, prepared, version, teacher)
        taught = distill(session, prepared, version, teacher)
        formed = forms.run(session, prepared, taught)
        compared = compare(session, prepared, version, teacher, taught, formed)
        if compared.record["refused"]:
            print(f"\nrefused: {compared.record['refused']}. Nothing is registered")
            print("Next: more layers (compress.student.layers=), longer learning (train.max_steps=)")
            return REFUSED
        measured = evaluate.run(session, prepared, taught)
        made = register.run(session, prepared, taught, measured, None, formed, compared)
    print(f"\n{made}, taught by {version}, is the challenger. Next: make promote{named(cfg.name)}")
    return 0


def _check(session: Session, prepared: Output, version: Version, teacher: Path) -> None:
    """Raise UserError unless the rows are the version's own, and its task the one that is configured."""
    bundle = Bundle.read(teacher)
    if bundle.lineage.teacher:
        raise UserError(f"{version} was taught itself: name the version that is to teach, version=")
    if bundle.task != session.cfg.task.name:
        raise UserError(f"{version} is of task={bundle.task}, not of task={session.cfg.task.name}")
    if bundle.lineage.split != prepared.record["split"]:
        told = (
            f"{version} learnt from other rows: split {bundle.lineage.split[:12]}, not {prepared.record['split'][:12]}"
        )
        raise UserError(f"{told}. Give the data settings that it was trained with")


def distill(session: Session, prepared: Output, version: Version, teacher: Path) -> Output:
    """The student: some of the teacher's layers, after learning from the rows and from the teacher."""
    cfg, said = session.cfg, session.cfg.compress.student
    bundle = Bundle.read(teacher)
    key = session.stage_key(
        (said, cfg.task, cfg.train),
        ("sluice.training.bundle", "sluice.training.distillation", "sluice.models.fewer"),
        cfg.seed,
        version.digest,
        prepared.record["split"],
    )
    from sluice.training.distillation import Teacher

    spec = FewerLayers(path=str(teacher), layers=said.layers or max(1, _layers(teacher) // 2))
    origin = {"pretraining": bundle.lineage.pretraining, "teacher": version.digest}
    return finetune.learn(session, "distill", key, prepared, spec, origin, teacher=Teacher(teacher, said))


def _layers(bundle: Path) -> int:
    from transformers import AutoConfig

    return int(AutoConfig.from_pretrained(bundle.absolute()).num_hidden_layers)


def compare(
    session: Session, prepared: Output, version: Version, teacher: Path, taught: Output, formed: Output | None
) -> Output:
    """Teacher and student in all their forms beside the teacher's own weights, on validation rows."""
    cfg, settings = session.cfg, session.cfg.compress
    student = (formed or taught).folder / "bundle"
    key = session.stage_key(
        (settings, cfg.task),
        ("sluice.evaluation.forms", "sluice.evaluation.tradeoff"),
        cfg.seed,
        (cfg.evaluate.resamples, cfg.evaluate.confidence, cfg.evaluate.latency_texts),
        version.digest,
        taught.record["digest"],
        formed and formed.key,
        prepared.record["split"],
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.evaluation.forms import Yardstick, sample
        from sluice.evaluation.tradeoff import markdown, plot, table
        from sluice.inference.engines.onnx import OnnxEngine
        from sluice.inference.engines.torch import TorchEngine

        yardstick = Yardstick(teacher, sample(prepared.folder, settings.rows, cfg.seed), cfg.evaluate, cfg.seed)
        found = {}
        for who, bundle in ((TEACHER, teacher), (STUDENT, student)):
            engines: dict[str, Engine] = {"torch": TorchEngine()} if who == STUDENT else {}
            for name in Bundle.read(bundle).forms:
                engines[name] = OnnxEngine(precision="int8" if name == "int8" else "float32")
            for name, engine in engines.items():
                file = WEIGHTS if name == "torch" else Bundle.read(bundle).forms[name].file
                found[f"{who} {name}"] = yardstick.measure(file, engine, bundle)
        refused = settings.refusal(found[f"{STUDENT} torch"])
        record = {
            "variants": {name: form.model_dump(mode="json") for name, form in found.items()},
            "version": str(version),
            "size": (teacher / WEIGHTS).stat().st_size,
            "refused": refused,
        }
        print(table(record), flush=True)
        child.text(markdown(record), "compress.md")
        child.file(plot(record, folder))
        for name, form in found.items():
            one = name.replace(" ", "_")
            child.metrics({f"{one}/difference": form.difference.value, f"{one}/speed": form.speed.value})
        return record

    return session.stage("compress", key, build)


if __name__ == "__main__":
    main(command)
