"""Canaries of a running service, watched by its figures and stopped beyond their bounds."""

from __future__ import annotations

import time
import urllib.request
from collections import deque

from pipelines.resolve import Meant
from pipelines.shared.flight import stop
from sluice.flight import Canary, Counts, objections
from sluice.registry.store import Store
from sluice.registry.versions import CANARY, CHAMPION

FIELDS = {
    ("sluice_answers_total", "outcome", "answered"): "answered",
    ("sluice_answers_total", "outcome", "failed"): "failed",
    ("sluice_stage_seconds_sum", "stage", "engine"): "seconds",
    ("sluice_batch_texts_sum", "", ""): "texts",
    ("sluice_compared_texts_total", "", ""): "compared",
    ("sluice_disagreed_texts_total", "", ""): "disagreed",
}
"""Which figure of the service is which count: by its name, and by a label and its value."""
ANSWER_S = 5.0
Figures = dict[str, Counts]
"""By the version's name and number."""


class Watch:
    """Looks at a service's `/metrics` again and again."""

    def __init__(self, url: str, rules: Canary) -> None:
        self.url, self.rules = url, rules
        self._seen: deque[tuple[float, Figures]] = deque()

    def __call__(self, store: Store, served: list[Meant]) -> None:
        """Stop each canary that has passed its bounds within the window."""
        pairs = {version.name: version for version, alias, _ in served if alias == CHAMPION}
        canaries = [version for version, alias, _ in served if alias == CANARY]
        if not canaries:
            self._seen.clear()
            return
        try:
            now, figures = time.monotonic(), read(self.url)
        except OSError:  # not yet up, or too busy to say: the next look is soon
            return
        self._seen.append((now, figures))
        while len(self._seen) > 1 and now - self._seen[1][0] >= self.rules.window_s:
            self._seen.popleft()
        before = self._seen[0][1]
        for canary in canaries:
            both = (canary, pairs[canary.name])
            mine, theirs = (figures.get(str(one), Counts()).since(before.get(str(one), Counts())) for one in both)
            if reasons := objections(mine, theirs, self.rules):
                stop(store, canary, reasons)


def read(url: str) -> Figures:
    """What each version of a service has done so far."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:  # noqa: S310
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for (name, label, value), field in FIELDS.items():
                if sample.name == name and sample.labels.get(label, "") == value:
                    counts = found.setdefault(sample.labels["model"], {})
                    counts[field] = counts.get(field, 0.0) + sample.value
    return {model: Counts(**counts) for model, counts in found.items()}
