"""What is served and what is asked, made once in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sluice.files import write_json
from tests.bench.serving import model
from tests.bench.serving.texts import docstrings, mixed

COUNT = 1000


@dataclass(frozen=True)
class Material:
    """A model and the texts for it."""

    folder: Path
    """Where everything of a run lies."""
    bundle: Path
    texts: list[str]
    labels: list[str]
    """What the model says of each text in float32."""
    tokens: list[int]
    """Tokens of each text, special ones included."""

    @property
    def file(self) -> Path:
        """The texts, for the processes that read them."""
        return _file(self.folder)

    def home(self, *parts: object) -> Path:
        """A folder for someone who is measured."""
        return self.folder.joinpath("servers", "-".join(map(str, parts)).replace(" ", "-"))


def prepare(folder: Path) -> Material:
    """Make the bundle and choose the texts, unless they lie there already."""
    file, bundle = _file(folder), folder / "encoder"
    if not file.exists():
        from transformers import AutoTokenizer, pipeline

        docs = docstrings()
        model.encoder(bundle, docs)
        tokenizer = AutoTokenizer.from_pretrained(bundle)
        texts = mixed(tokenizer, docs, COUNT)
        classifier = pipeline("text-classification", model=str(bundle))
        labels = [one["label"] for one in classifier(texts, truncation=True)]
        tokens = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        write_json(file, {"texts": texts, "labels": labels, "tokens": tokens})
    return Material(folder, bundle, **json.loads(file.read_text(encoding="utf-8")))


def _file(folder: Path) -> Path:
    return folder / "texts.json"
