"""The Bento: service, sluice and copies of the bundle and its index in BentoML's own store, under `name:v<version>`."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sluice.config import Config, to_yaml
from sluice.files import link_tree, write_json, write_text
from sluice.inference.bundle import Bundle
from sluice.registry.versions import public_version

LIBRARIES = (
    "bentoml", "fastapi", "filelock", "grpcio", "httptools", "hydra-core", "numpy", "omegaconf", "onnxruntime",
    "prometheus-client", "protobuf", "pydantic", "safetensors", "tokenizers", "torch", "transformers", "uvloop",
)  # fmt: skip
"""What the service imports, pinned at the versions that are installed here."""
SEARCH = ("lancedb", "pyarrow")
"""What it imports beside these where there is an index."""
TRACES = ("opentelemetry-exporter-otlp-proto-http",)
"""And where requests are traced."""
FORMS = {"openvino": "openvino", "genai": "onnxruntime-genai", "genai_int8": "onnxruntime-genai"}
"""And where the bundle has a form that is run by it."""
CODE = ("serving", "src/sluice")


def build_bento(repository: Path, slot: dict[str, Any], cfg: Config) -> str:
    """Build the Bento of one version, replacing one of the same tag. Returns the tag."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    import bentoml
    from bentoml.exceptions import NotFound

    logging.getLogger("bentoml").setLevel(logging.ERROR)
    libraries = [*LIBRARIES, *(SEARCH if slot["index"] else []), *(TRACES if cfg.serve.traces.share else [])]
    libraries += sorted({FORMS[form] for form in Bundle.read(Path(slot["folder"])).forms if form in FORMS})
    tag = f"{slot['name']}:v{slot['version']}"
    with tempfile.TemporaryDirectory(prefix="sluice-bento-") as folder:
        stage = Path(folder)
        _assemble(stage, repository, slot, cfg)
        with contextlib.suppress(NotFound):
            bentoml.delete(tag)
        bentoml.bentos.build(
            "serving.service:Sluice",
            name=slot["name"],
            version=f"v{slot['version']}",
            labels={"task": slot["task"], "bundle": slot["digest"][:63], "data": slot["data"][:63]},
            python={
                "packages": [f"{name}=={public_version(name)}" for name in libraries],
                "lock_packages": False,
            },
            build_ctx=folder,
        )
    return tag


def _assemble(stage: Path, repository: Path, slot: dict[str, Any], cfg: Config) -> None:
    """Lay out what the Bento holds: `serving/`, `sluice/`, `bundle/`, perhaps `index/`, `slots.json`, `config.yaml`."""
    for part in CODE:
        source = repository / part
        shutil.copytree(source, stage / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    link_tree(Path(slot["folder"]), stage / "bundle")
    if slot["index"]:
        link_tree(Path(slot["index"]), stage / "index")
    write_json(stage / "slots.json", [{**slot, "folder": "bundle", "index": "index" if slot["index"] else None}])
    write_text(stage / "config.yaml", to_yaml(cfg))
