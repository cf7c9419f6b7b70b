"""The model beside this file: python run.py "a text", or texts on standard input; or from run import Model.

Prints a line of JSON a text. Needs onnxruntime, tokenizers and numpy, as in requirements.txt.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Model:
    """Answers one text at a time, as the service does."""

    def __init__(self, folder: Path = Path(__file__).parent, threads: int = 1) -> None:
        self.about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)

    def __call__(self, text: str) -> dict[str, Any]:
        """The answer; where the model compares pairs, `text` is a JSON list of two."""
        given = json.loads(text) if self.about["pairs"] else [text]
        ids = np.array([self.tokenizer.encode(*given).ids], np.int64)
        outputs = self.session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        return getattr(self, self.about["answers"])(outputs.astype(np.float64))

    def label(self, logits: np.ndarray) -> dict[str, Any]:
        """The most probable label, the probabilities of all, and whether it had better not answer."""
        powers = np.exp(logits - logits.max())
        scores = self._ranked(powers / powers.sum())
        label, rule = next(iter(scores)), self.about["abstention"]
        unsure = bool(rule) and (label == rule["out_of_scope"] or scores[label] < rule["threshold"])
        return {"label": label, "score": scores[label], "scores": scores, "abstained": unsure}

    def labels(self, logits: np.ndarray) -> dict[str, Any]:
        """The labels that fit, each with a probability of its own."""
        scores = self._ranked(0.5 * (1 + np.tanh(0.5 * logits)))
        return {"labels": [name for name in scores if scores[name] >= self.about["threshold"]], "scores": scores}

    def score(self, outputs: np.ndarray) -> dict[str, Any]:
        """A number."""
        return {"score": float(outputs[0])}

    def embedding(self, outputs: np.ndarray) -> dict[str, Any]:
        """A vector of length 1."""
        return {"embedding": outputs.tolist()}

    def _ranked(self, scores: np.ndarray) -> dict[str, Any]:
        return {self.about["labels"][at]: float(scores[at]) for at in scores.argsort(kind="stable")[::-1]}


if __name__ == "__main__":
    model = Model()
    for line in sys.argv[1:] or map(str.strip, sys.stdin):
        print(json.dumps({"model": model.about["model"], **model(line)}, ensure_ascii=False), flush=True)
