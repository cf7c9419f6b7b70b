"""The engine that every peer gets that can take one: onnxruntime with one thread, on the same file as ours.

With nothing around it but what any answer needs: tokenizer, padding, softmax, label.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from sluice.inference.engines.onnx import FILES
from sluice.tasks.classification import softmax
from tests.bench.serving.texts import LONGEST

Answer = dict[str, Any]
"""`label` and `score`, as `transformers.pipeline` answers."""


class Engine:
    """A loaded model."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            folder / FILES["int8"], options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.enable_padding(pad_id=self._tokenizer.token_to_id("<pad>"), pad_token="<pad>")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._labels = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]

    def __call__(self, texts: Sequence[str]) -> list[Answer]:
        """The label of each text; all of them in one forward pass."""
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        inputs = {
            "input_ids": np.array([one.ids for one in encoded], np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
        }
        (logits,) = self._session.run(None, inputs)
        scores = softmax(logits)
        best = scores.argmax(axis=1)
        return [{"label": self._labels[at], "score": float(row[at])} for at, row in zip(best, scores, strict=True)]
