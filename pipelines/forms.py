"""Faster forms of the fine-tuned model beside its weights; what answers otherwise than the weights is not kept."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pipelines import finetune, preprocess
from pipelines.shared.entry import main
from pipelines.shared.session import Session
from sluice.compression.settings import Forms
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.inference.engines.formed import FORM_FILES, OF_DECODERS, FormName, engine_of, remove_form, suited, unfit
from sluice.registry.runs import Run
from sluice.tasks.task import Columns, Task
from sluice.workspace import Output

LIBRARIES = ("nncf", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-genai", "onnxscript", "openvino")
"""Libraries that these forms depend on, and nothing else does; not all need be installed."""


def run(
    session: Session,
    prepared: Output,
    fitted: Output,
    names: tuple[FormName, ...] | None = None,
) -> Output | None:
    """The bundle with the forms that are kept (in `bundle/`), and what was measured; None where none are asked for.

    For `make compress` it is given their `names`, and their memory is measured, too.
    """
    cfg, settings, compressing = session.cfg, session.cfg.forms, names is not None
    if names is not None:
        settings = (settings or Forms()).model_copy(update={"names": names})
    if settings is None:
        return None
    key = session.stage_key(
        (settings, cfg.task),
        ("sluice.compression.make", "sluice.evaluation.forms"),
        cfg.seed,
        cfg.evaluate.measuring,
        fitted.record["digest"],
        prepared.record["split"],
        {one.name: one.version for one in importlib.metadata.distributions() if one.name in LIBRARIES},
        compressing,
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.compression.export import obstacle
        from sluice.evaluation.forms import sample
        from sluice.evaluation.report import markdown_of_forms, table_of_forms
        from sluice.files import link_tree

        shutil.rmtree(folder / "bundle", ignore_errors=True)  # quantizing that is killed leaves a file of its own
        link_tree(fitted.folder / "bundle", folder / "bundle")
        names, why = settings.names, obstacle(folder / "bundle")
        if why and set(names) - {"bf16", *OF_DECODERS}:
            print(f"no faster forms by a graph: {why}", flush=True)
            names = tuple(name for name in names if name in ("bf16", *OF_DECODERS))
        rows, learnt = (
            sample(prepared.folder, count, cfg.seed, side)
            for count, side in ((settings.rows, "validation"), (settings.calibration, "train"))
        )
        chosen = settings.model_copy(update={"names": names})
        record = make(chosen, cfg, rows, cfg.task.inputs(learnt), folder / "bundle", memory=compressing)
        for name, form in record["forms"].items():
            child.metrics({f"{name}/agreement": form["agreement"], f"{name}/speed": form["speed"]["value"]})
        if not compressing:
            print(table_of_forms(record), flush=True)
        child.text(markdown_of_forms(record), "forms.md")
        return {**record, "obstacle": why}

    return session.stage("forms", key, build)


def fitting(names: tuple[FormName, ...] | None, bundle: Path, rows: int) -> tuple[FormName, ...]:
    """The forms that are asked for, or all that fit a model of so many training rows, this task and this processor.

    Raises UserError where one that is asked for cannot be made.
    """
    task = Bundle.read(bundle).resolve_task()
    found = []
    for name in suited(task) if names is None else names:
        why = (unfit(name) if names is None else None) or _unmakeable(name, bundle, task, rows)
        if why is None:
            found.append(name)
        elif names is None:
            print(f"no {name}: {why}", flush=True)
        else:
            raise UserError(f"{name} cannot be made: {why}")
    return tuple(found)


def _unmakeable(name: str, bundle: Path, task: Task, rows: int) -> str | None:
    from sluice.compression import calibrate, export, genai, halve

    if name not in suited(task):
        return f"a model of task={task.name} can have {', '.join(suited(task))}"
    if name in OF_DECODERS:
        return genai.obstacle(bundle)
    if name == "bf16":
        return halve.obstacle(bundle)
    return export.obstacle(bundle) or (calibrate.obstacle(rows) if name == "openvino" else None)


def make(
    settings: Forms, cfg: Config, rows: Columns, calibration: Sequence[Any], bundle: Path, memory: bool = False
) -> dict[str, Any]:
    """Add the forms to the bundle; what was measured of them on these rows, and which were not kept."""
    from sluice.compression.make import make
    from sluice.evaluation.forms import Yardstick
    from sluice.inference.bundle import Form

    if not settings.names:
        return {"forms": {}, "refused": {}}
    yardstick = Yardstick(bundle, rows, cfg.evaluate, cfg.seed)
    forms: dict[str, Form] = {}
    refused: dict[str, str] = {}
    for name in settings.names:
        path = make(name, bundle, calibration)
        forms[name] = yardstick.measure(str(path.relative_to(bundle)), engine_of(name), memory=memory)
        if why := settings.refusal(forms[name]):
            refused[name] = why
    for name in get_args(FormName):
        if name not in forms or name in refused:  # the float32 graph that others are made of may not be asked for
            remove_form(FORM_FILES[name], bundle)
    kept = {name: form for name, form in forms.items() if name not in refused}
    Bundle.read(bundle).model_copy(update={"forms": kept}).write(bundle)
    return {"forms": {name: form.model_dump() for name, form in forms.items()}, "refused": refused}


def command(cfg: Config) -> None:
    """`make forms`."""
    if cfg.forms is None:
        raise UserError("forms=none makes no faster forms: leave it out, or say forms=onnx")
    with Session(cfg) as session:
        prepared = preprocess.run(session)
        run(session, prepared, finetune.run(session, prepared))


if __name__ == "__main__":
    main(command)
