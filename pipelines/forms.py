"""Faster forms of the fine-tuned model beside its weights; what answers otherwise than the weights is not kept."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

from pipelines import finetune, preprocess
from pipelines.shared.entry import main
from pipelines.shared.session import Session
from sluice.compression.settings import Forms
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.runs import Run
from sluice.tasks.task import Columns
from sluice.workspace import Output

LIBRARIES = ("onnx", "onnx-ir", "onnxruntime", "onnxscript")
"""Libraries that these forms depend on, and nothing else does."""


def run(session: Session, prepared: Output, fitted: Output) -> Output | None:
    """The bundle with the forms that are kept (in `bundle/`), and what was measured; None where none are asked for."""
    cfg, settings = session.cfg, session.cfg.forms
    if settings is None:
        return None
    evaluate = cfg.evaluate
    key = session.stage_key(
        (settings, cfg.task),
        ("sluice.compression.export", "sluice.compression.quantize", "sluice.evaluation.forms"),
        cfg.seed,
        (evaluate.resamples, evaluate.confidence, evaluate.latency_texts),
        fitted.record["digest"],
        prepared.record["split"],
        {library: importlib.metadata.version(library) for library in LIBRARIES},
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.compression.export import obstacle
        from sluice.evaluation.forms import sample
        from sluice.evaluation.report import markdown_of_forms, table_of_forms
        from sluice.files import link_tree

        shutil.rmtree(folder / "bundle", ignore_errors=True)  # quantizing that is killed leaves a file of its own
        link_tree(fitted.folder / "bundle", folder / "bundle")
        if why := obstacle(folder / "bundle"):
            print(f"no faster forms: {why}", flush=True)
            return {"forms": {}, "refused": {}, "obstacle": why}
        record = make(settings, cfg, sample(prepared.folder, settings.rows, cfg.seed), folder / "bundle")
        for name, form in record["forms"].items():
            child.metrics({f"{name}/agreement": form["agreement"], f"{name}/speed": form["speed"]["value"]})
        print(table_of_forms(record), flush=True)
        child.text(markdown_of_forms(record), "forms.md")
        return {**record, "obstacle": None}

    return session.stage("forms", key, build)


def make(settings: Forms, cfg: Config, rows: Columns, bundle: Path) -> dict[str, Any]:
    """Add the forms to the bundle; what was measured of them on these rows, and which were not kept."""
    from sluice.compression.export import export
    from sluice.compression.quantize import quantize
    from sluice.evaluation.forms import Yardstick
    from sluice.inference.bundle import Bundle, Form
    from sluice.inference.engines.onnx import OnnxEngine

    files = {"onnx": (export(bundle), OnnxEngine())}
    if settings.int8:
        files["int8"] = (quantize(bundle), OnnxEngine(precision="int8"))
    yardstick = Yardstick(bundle, rows, cfg.evaluate, cfg.seed)
    forms: dict[str, Form] = {}
    refused: dict[str, str] = {}
    for name, (path, engine) in files.items():
        forms[name] = yardstick.measure(path.name, engine)
        if why := settings.refusal(forms[name]):
            refused[name] = why
            path.unlink()
    kept = {name: form for name, form in forms.items() if name not in refused}
    Bundle.read(bundle).model_copy(update={"forms": kept}).write(bundle)
    return {"forms": {name: form.model_dump(mode="json") for name, form in forms.items()}, "refused": refused}


def command(cfg: Config) -> None:
    """`make forms`."""
    if cfg.forms is None:
        raise UserError("forms=none makes no faster forms: leave it out, or say forms=onnx")
    with Session(cfg) as session:
        prepared = preprocess.run(session)
        run(session, prepared, finetune.run(session, prepared))


if __name__ == "__main__":
    main(command)
