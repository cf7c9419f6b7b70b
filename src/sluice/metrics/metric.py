"""`Metric`: the base of our metrics, which need no hub and no cache folder."""

from __future__ import annotations

from typing import Any, ClassVar

# `datasets` and `evaluate` are imported on separate lines: evaluate scans its modules' imports line by line.
import datasets
import evaluate


class Metric(evaluate.Metric):
    """An `evaluate.Metric` that keeps its rows in memory: nothing is written to a cache folder."""

    features: ClassVar[datasets.Features] = datasets.Features(
        {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
    )
    """What a row of `predictions` and of `references` is: label indices, unless a metric says otherwise."""

    def __init__(self, **options: Any) -> None:
        super().__init__(keep_in_memory=True, **options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or "", citation="", inputs_description="", features=self.features
        )
