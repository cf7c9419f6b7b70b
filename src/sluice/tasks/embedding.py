"""Semantic search: the vector of a query lies near those of the passages that answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveInt

from sluice.errors import UserError
from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import Answers, Ask, Baselines, Columns, Kind, Outputs, Targets, items
from sluice.tasks.vectors import Vectors, ids_of, pair_collator

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally

MINED = 20
"""Passages that BM25 finds for a query, of which those that are wrong are taken as hard negatives."""
BLOCK = 512
"""Queries that are compared with all passages at a time."""


class Embedding(Vectors):
    """A bi-encoder learnt from pairs (Karpukhin et al. 2020): each query against all passages of its batch.

    An answer is a ranking: numbers of the rows' distinct passages in the order of their names, best first. Rows with
    the same query are one question with several right passages.
    """

    name: ClassVar[str] = "embedding"
    columns: ClassVar[Mapping[str, Kind]] = {"query": "text", "passage": "list"}
    primary_metric: ClassVar[str] = "ndcg_10"
    validation_metric: ClassVar[str] = "mrr"
    worded: ClassVar[bool] = True
    example: ClassVar[str] = "find the shortest path between two nodes of a weighted graph"

    temperature: float = Field(0.05, gt=0)
    """What similarities are divided by while learning: the smaller, the more the nearest wrong passages count."""
    hard_negatives: int = Field(0, ge=0, le=8)
    """Wrong passages a query that BM25 ranks high, beside those of its batch."""
    matryoshka: tuple[PositiveInt, ...] = ()
    """Dimensions at which vectors are to be cut (Kusupati et al. 2022): the loss is the mean over them and all."""

    def corpus(self, rows: Columns) -> Sequence[str]:
        """Queries and passages: one vocabulary serves both."""
        return [*rows["query"], *self.passages(rows)]

    def passages(self, rows: Columns) -> list[str]:
        """The distinct passages, sorted: a passage's number is its place here."""
        return sorted({text for cell in rows["passage"] for text in items(cell)})

    def references(self, rows: Columns) -> Answers:
        """The numbers of the right passages: those of all rows with the same query."""
        number = {text: at for at, text in enumerate(self.passages(rows))}
        right: dict[str, set[int]] = {}
        for query, cell in zip(rows["query"], rows["passage"], strict=True):
            right.setdefault(_plain(query), set()).update(number[text] for text in items(cell))
        return [sorted(right[_plain(query)]) for query in rows["query"]]

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """The number of each row's own passage, of several the first."""
        number = {text: at for at, text in enumerate(self.passages(rows))}
        return [number[items(cell)[0]] for cell in rows["passage"]]

    def beside(self, tokenizer: Tokenizer, rows: Columns) -> Sequence[Any] | None:
        """The numbers of query and passages, then the tokens of the right passage and of the hard negatives."""
        passages, right = self.passages(rows), self.references(rows)
        number: dict[str, int] = {}
        queries = [number.setdefault(_plain(query), len(number)) for query in rows["query"]]
        chosen = [[own] for own in self.targets(tokenizer, [], rows, [])]
        if self.hard_negatives:
            found = self._mine(passages, rows["query"], right)
            chosen = [own + more for own, more in zip(chosen, found, strict=True)]
        tokens = ids_of(self.encode(tokenizer, passages))
        return [[[query, *own], *(tokens[at] for at in own)] for query, own in zip(queries, chosen, strict=True)]

    def _mine(self, passages: list[str], queries: Sequence[str], right: Answers) -> list[list[int]]:
        """For each query wrong passages that share its words; where there are too few, any."""
        from sluice.metrics.bm25 import bm25_rankings

        found = bm25_rankings(passages, queries, MINED + self.hard_negatives)
        any_other = range(len(passages))
        chosen = []
        for ranked, own in zip(found.tolist(), right, strict=True):
            wrong = dict.fromkeys(at for at in (*ranked, *any_other[: 2 * self.hard_negatives]) if at not in own)
            pool = list(wrong) or list(own)  # what is right does not count as wrong
            chosen.append((pool * self.hard_negatives)[: self.hard_negatives])
        return chosen

    def collator(self, tokenizer: Tokenizer, model: PreTrainedModel, multiple: int) -> Any:
        """Batches of queries and of passages."""
        return pair_collator(tokenizer, multiple)

    def scores(self, model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
        """Vectors of the queries, shape (batch, dimensions), of the passages, and the numbers of both."""
        queries = self.vectors(model, {name: batch[name] for name in ("input_ids", "attention_mask")})
        texts = {"input_ids": batch["passage_ids"], "attention_mask": batch["passage_mask"]}
        return queries, self.vectors(model, texts), batch["names"]

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """Cross-entropy of finding each query's passage in the batch (van den Oord et al. 2018).

        Other passages that are right, too, do not count: the same passage, and those of the same query.
        """
        import torch

        queries, passages, names = scores
        if max(self.matryoshka, default=0) > queries.shape[1]:
            told = f"task.matryoshka={list(self.matryoshka)}: this model's vectors have {queries.shape[1]} dimensions"
            raise UserError(told)
        count = len(queries)
        asked, numbers = names[:, 0], names[:, 1:].T.flatten()
        same = numbers == targets.unsqueeze(1)
        same[:, :count] |= asked == asked.unsqueeze(1)
        own = torch.eye(count, len(passages), dtype=torch.bool, device=same.device)
        right = torch.arange(count, device=same.device)
        sizes = (*self.matryoshka, queries.shape[1])
        each = torch.zeros(count, device=same.device)
        for size in sizes:
            one, other = (torch.nn.functional.normalize(some[:, :size], dim=-1) for some in (queries, passages))
            similar = (one @ other.T / self.temperature).masked_fill(same & ~own, -torch.inf)
            each = each + torch.nn.functional.cross_entropy(similar, right, reduction="none")
        return each / len(sizes)

    def apart(self, scores: Any, taught: Any, targets: Any, temperature: float) -> Any:
        """How far the chances of each query to find the batch's passages are from the teacher's."""
        import torch

        ours, theirs = (torch.log_softmax(one @ other.T / self.temperature, -1) for one, other, _ in (scores, taught))
        return (theirs.exp() * (theirs - ours)).sum(dim=-1)

    def keep(self, scores: Any, targets: Any) -> Any:
        """The vectors of each query and its own passage, shape (batch, 2, dimensions)."""
        import torch

        queries, passages, _ = scores
        return torch.stack([queries, passages[: len(queries)]], dim=1)

    def validation_figures(
        self, kept: Any, encoded: Sequence[Encoded], references: Answers, labels: Sequence[str], tokenizer: Tokenizer
    ) -> dict[str, float]:
        """How well each query finds its passages among the first ones of all validation rows."""
        import numpy as np

        numbers = np.array([own[0] for own in references])
        distinct, first = np.unique(numbers, return_index=True)
        place = {number: at for at, number in enumerate(distinct.tolist())}
        right = [[place[one] for one in own if one in place] for own in references]
        return self.metrics(list(rankings(kept[:, 0], kept[first, 1])), labels, right)

    def observe(self, ask: Ask, rows: Columns) -> Outputs:
        """For each row the numbers of the passages whose vectors are nearest, best first."""
        import numpy as np

        options = self.Options()
        asked = np.stack(ask(rows["query"], options))
        return list(rankings(asked, np.stack(ask(self.passages(rows), options))))

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The rankings."""
        return [row.tolist() for row in outputs]

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """Recall at 1, 10 and 100, reciprocal rank, nDCG at 10, average precision."""
        return self.tally(self.predictions(outputs, labels), references, labels).exact()

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """The same, row by row."""
        from sluice.metrics.ranking import ranking_tally

        return ranking_tally(predictions, references)

    def spelt(self, answers: Answers, rows: Columns) -> list[str]:
        """The first passage."""
        passages = self.passages(rows)
        return [passages[own[0]] for own in answers]

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """Passages in any order, and BM25."""
        import numpy as np

        from sluice.metrics.bm25 import bm25_rankings
        from sluice.metrics.ranking import DEPTH

        passages, count = self.passages(test), len(test["query"])
        rng = np.random.default_rng(0)
        drawn = [rng.permutation(len(passages))[:DEPTH].tolist() for _ in range(count)]
        return Baselines(
            trivial={"random": drawn}, strong={"bm25": bm25_rankings(passages, test["query"], DEPTH).tolist()}
        )


def rankings(queries: npt.NDArray[np.floating], passages: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The nearest passages of each query by cosine, best first, shape (queries, at most 100)."""
    import numpy as np

    from sluice.metrics.ranking import DEPTH

    found = [np.empty((0, min(DEPTH, len(passages))), np.int64)]
    for start in range(0, len(queries), BLOCK):
        similar = queries[start : start + BLOCK] @ passages.T
        found.append(np.argsort(-similar, axis=1, kind="stable")[:, :DEPTH])
    return np.concatenate(found)


@lru_cache(1 << 16)
def _plain(query: str) -> str:
    """Queries that differ in case and white space only are one."""
    return " ".join(query.casefold().split())
