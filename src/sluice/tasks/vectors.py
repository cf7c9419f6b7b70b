"""Texts as vectors: what tasks share in which texts are compared by the angle between theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.files import write_json
from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import Outputs, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class VectorOptions(BaseModel):
    """What a caller may ask of a vector."""

    model_config = ConfigDict(extra="forbid")

    dimensions: int | None = Field(None, ge=1, description="Only so many first components, scaled to length 1 again.")


class VectorResult(BaseModel):
    """The answer for one text."""

    embedding: list[float] = Field(description="The vector, of length 1.")


class Vectors(Task):
    """Vectors of length 1 from an encoder whose token states are pooled."""

    verb: ClassVar[str] = "embed"
    Options: ClassVar[type[BaseModel]] = VectorOptions
    Result: ClassVar[type[BaseModel]] = VectorResult

    pooling: Literal["mean", "cls"] = "mean"
    """mean: of all tokens; cls: the first token's state."""

    def model_class(self) -> type[Any]:
        """The Auto class of a bare encoder."""
        from transformers import AutoModel

        return AutoModel

    def vectors(self, model: PreTrainedModel, batch: Mapping[str, Any]) -> Any:
        """Pooled and scaled to length 1, shape (batch, dimensions)."""
        import torch

        states = model(**batch).last_hidden_state.float()
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = batch["attention_mask"].unsqueeze(-1).float()
            pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(pooled, dim=-1)

    def forward(self, model: PreTrainedModel, batch: Mapping[str, Any], options: BaseModel) -> Any:
        """The vectors, shape (batch, dimensions)."""
        return self.vectors(model, batch)

    @property
    def comparable(self) -> bool:
        """No: each version has a space of its own."""
        return False

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """The mean cosine of each input's two vectors; NaN where one model's are longer than the other's."""
        import numpy as np

        one, other = np.stack(list(ours)), np.stack(list(theirs))
        return float((one * other).sum(axis=1).mean()) if one.shape == other.shape else float("nan")

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The vectors as numbers, as many of them as are asked for."""
        wanted = options.dimensions if isinstance(options, VectorOptions) else None
        return [VectorResult(embedding=_shortened(vector, wanted).tolist()) for vector in outputs]

    def export(self, folder: Path) -> None:
        """The files by which sentence-transformers opens the folder."""
        import json

        from transformers import AutoTokenizer

        width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
        limit = min(self.max_length, AutoTokenizer.from_pretrained(folder.absolute()).model_max_length)
        pooling = {
            "word_embedding_dimension": width,
            "pooling_mode_mean_tokens": self.pooling == "mean",
            "pooling_mode_cls_token": self.pooling == "cls",
        }
        kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
        modules = [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (path, kind) in enumerate(kinds.items())
        ]
        for name in ("1_Pooling", "2_Normalize"):
            (folder / name).mkdir(exist_ok=True)
        write_json(folder / "modules.json", modules)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
        write_json(folder / "1_Pooling" / "config.json", pooling)
        write_json(folder / "2_Normalize" / "config.json", {})


def _shortened(vector: Any, wanted: int | None) -> Any:
    import numpy as np

    if wanted is None or wanted >= len(vector):
        return vector
    kept = vector[:wanted]
    return kept / max(float(np.linalg.norm(kept)), 1e-12)


def pair_collator(tokenizer: Tokenizer, multiple: int) -> Any:
    """Batches of inputs and, as `passage_ids` and `passage_mask`, of the texts that stand beside them.

    `beside` of a row is a list of numbers (`names`) and then the token ids of each text. The first texts of all rows
    come first, then the second ones.
    """

    def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        texts = [row["beside"][at] for at in range(1, len(rows[0]["beside"])) for row in rows]
        padded = [
            tokenizer.pad({"input_ids": ids}, pad_to_multiple_of=multiple, return_tensors="pt")
            for ids in ([row["input_ids"] for row in rows], texts)
        ]
        return {
            "input_ids": padded[0]["input_ids"],
            "attention_mask": padded[0]["attention_mask"],
            "passage_ids": padded[1]["input_ids"],
            "passage_mask": padded[1]["attention_mask"],
            "names": torch.tensor([row["beside"][0] for row in rows]),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    return collate


def ids_of(encoded: Sequence[Encoded]) -> list[list[int]]:
    """Token ids alone."""
    return [one.ids for one in encoded]
