"""A folder that answers where nothing of ours is installed: graph, tokenizer, labels, and `run.py` to read them."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

from sluice.errors import UserError
from sluice.files import write_json, write_text
from sluice.inference.bundle import Bundle
from sluice.inference.engines.onnx import FILES
from sluice.inference.tokenizer import Tokens, load_tokenizer

RUNNER = Path(__file__).with_name("run.py")
NEEDS = ("numpy", "onnxruntime", "tokenizers")
"""What the runner imports, pinned at the versions that are installed here."""
KINDS = {
    "classification": "label",
    "pair_classification": "label",
    "multilabel": "labels",
    "regression": "score",
    "embedding": "embedding",
    "similarity": "embedding",
}
"""Tasks whose answers the runner reads, and how."""


def write_edge(bundle: Path, folder: Path, model: str, digest: str) -> str:
    """Fill an empty folder from a bundle; returns the form that it holds. `model` is what answers call it.

    Raises UserError for a bundle without a graph, of a task whose answers take more than the runner, or with a
    tokenizer that its file does not describe whole.
    """
    described = Bundle.read(bundle)
    task, form = described.resolve_task(), _form(bundle, described, model)
    if task.name not in KINDS:
        raise UserError(f"task={task.name} cannot be exported to run by itself: its answers take more than one pass")
    tokenizer = load_tokenizer(bundle, task)
    if not isinstance(tokenizer, Tokens):
        raise UserError(f"the tokenizer of {model} needs transformers, which an exported folder does without")
    library, limit = tokenizer.backend_tokenizer, task.limit(tokenizer)
    library.no_padding()
    if limit is None:
        library.no_truncation()
    else:
        library.enable_truncation(limit, strategy="longest_first", direction=tokenizer.truncation_side)
    folder.mkdir(parents=True, exist_ok=True)
    library.save(str(folder / "tokenizer.json"))
    shutil.copyfile(bundle / FILES[form], folder / "model.onnx")
    shutil.copyfile(RUNNER, folder / RUNNER.name)
    write_text(folder / "requirements.txt", "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in NEEDS))
    write_json(folder / "model.json", _about(described, model, digest, task))
    return form


def _form(bundle: Path, described: Bundle, model: str) -> str:
    """The smallest form that was found to answer as the model does."""
    kept = [name for name in ("int8", "float32") if (bundle / FILES[name]).exists()]
    if not kept:
        raise UserError(f'{model} has no ONNX form to export: make train ARGS="forms=onnx" makes one')
    return kept[0]


def _about(described: Bundle, model: str, digest: str, task: Any) -> dict[str, Any]:
    rule = described.abstention
    return {
        "model": model,
        "bundle": digest,
        "data": described.lineage.data,
        "answers": KINDS[task.name],
        "pairs": task.name == "pair_classification",
        "labels": list(described.labels),
        "threshold": getattr(task, "threshold", None),
        "abstention": rule.model_dump() if rule else None,
    }
