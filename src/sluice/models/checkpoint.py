"""Any Hugging Face checkpoint, by local folder or by hub id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sluice.errors import UserError
from sluice.files import folder_digest
from sluice.models.spec import Architecture, ModelSpec, label_maps
from sluice.part import digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Checkpoint(ModelSpec):
    """A pretrained model with its own tokenizer; the head is new where its labels differ."""

    architecture: ClassVar[Architecture | None] = None

    path: str
    """A folder made by `save_pretrained` (begin it with / or ./), or an id on the Hugging Face hub."""
    revision: str | None = None
    """Commit, tag or branch on the hub; pin it, or the same id may be another model tomorrow."""

    def fingerprint(self) -> str:
        """Contents of a local folder; id and revision of a hub model."""
        folder = self._folder()
        return folder_digest(folder) if folder else digest([self.path, self.revision])

    def tokenizer(self, texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
        """The checkpoint's own tokenizer."""
        from transformers import AutoTokenizer

        return self._load(AutoTokenizer)

    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """The checkpoint's backbone under the head of `model_class`, in float32."""
        import torch

        options = {**self.options(), **label_maps(labels)}
        return self._load(model_class, dtype=torch.float32, ignore_mismatched_sizes=True, **options)

    def bare(self, model_class: type[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Any:
        """By its configuration alone."""
        import torch
        from transformers import AutoConfig

        config = self._load(AutoConfig, **label_maps(labels))
        with torch.device("meta"):
            return model_class.from_config(config)

    def options(self) -> dict[str, Any]:
        """What of the checkpoint's configuration is to be otherwise."""
        return {}

    def pretrained(self, folder: Path) -> ModelSpec:
        """The same model after more reading."""
        return Checkpoint(path=str(folder))

    def _load(self, auto: Any, **options: Any) -> Any:
        folder = self._folder()
        source = str(folder.absolute()) if folder else self.path
        try:
            return auto.from_pretrained(source, revision=self.revision or "main", **options)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"model.path={self.path}: cannot be loaded: {reason}") from error

    def _folder(self) -> Path | None:
        """The local folder, or None for a hub id. A path that looks local but is not there is an error now."""
        folder = Path(self.path).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").exists():
                raise UserError(f"model.path={self.path} has no config.json: not a Hugging Face checkpoint folder")
            return folder
        if self.path.startswith(("/", ".", "~")) or self.path.count("/") > 1:
            raise UserError(f"model.path={self.path} does not exist; expected a Hugging Face checkpoint folder")
        return None
