"""Canaries of a running service, watched by its figures and stopped beyond their bounds."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections import deque

from pipelines.resolve import Meant
from pipelines.shared.flight import stop
from sluice.flight import Canary, Counts, Passes, objections
from sluice.registry.store import Store
from sluice.registry.versions import CANARY, CHAMPION

FIELDS = {
    ("sluice_answers_total", "outcome", "answered"): "answered",
    ("sluice_answers_total", "outcome", "failed"): "failed",
    ("sluice_compared_texts_total", "", ""): "compared",
    ("sluice_disagreed_texts_total", "", ""): "disagreed",
}
"""Which figure of the service is which count: by its name, and by a label and its value."""
PASSES = ("sluice_passes_total", "sluice_pass_seconds_total")
ANSWER_S = 5.0
LOOKS = 5
"""Looks in a row that find no figures, after which it is told."""
Figures = dict[str, Counts]
"""By the version's name and number."""


class Watch:
    """Looks at a service's `/metrics` again and again."""

    def __init__(self, url: str, rules: Canary) -> None:
        self.url, self.rules = url, rules
        self._seen: deque[tuple[float, Figures]] = deque()
        self._silent = 0

    def __call__(self, store: Store, served: list[Meant]) -> None:
        """Stop each canary that has passed its bounds within the window."""
        pairs = {version.name: version for version, alias, _ in served if alias == CHAMPION}
        canaries = [version for version, alias, _ in served if alias == CANARY]
        if not canaries:
            self._seen.clear()
            return
        try:
            now, figures = time.monotonic(), read(self.url)
        except (OSError, ValueError) as error:  # not yet up, or too busy to say: the next look is soon
            self._tell(f"{self.url} tells no figures, so that nobody watches {', '.join(map(str, canaries))}: {error}")
            return
        self._tell(None)
        self._seen.append((now, figures))
        while len(self._seen) > 1 and now - self._seen[1][0] >= self.rules.window_s:
            self._seen.popleft()
        before = self._seen[0][1]
        for canary in canaries:
            if canary.name not in pairs:  # it alone is served: there is nothing to hold it against
                continue
            both = (canary, pairs[canary.name])
            mine, theirs = (figures.get(str(one), Counts()).since(before.get(str(one), Counts())) for one in both)
            if reasons := objections(mine, theirs, self.rules):
                stop(store, canary, reasons)

    def _tell(self, complaint: str | None) -> None:
        """Say it once, on the second look that finds it so: a service that starts is not up at the first."""
        self._silent = self._silent + 1 if complaint else 0
        if self._silent == LOOKS:
            print(complaint, file=sys.stderr, flush=True)


def read(url: str) -> Figures:
    """What each version of a service has done so far."""
    from prometheus_client.parser import text_string_to_metric_families

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
    with direct.open(url, timeout=ANSWER_S) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    passes: dict[str, dict[int, Passes]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for (name, label, value), field in FIELDS.items():
                if sample.name == name and sample.labels.get(label, "") == value:
                    counts = found.setdefault(sample.labels["model"], {})
                    counts[field] = counts.get(field, 0.0) + sample.value
            if sample.name in PASSES:
                own = passes.setdefault(sample.labels["model"], {})
                before, size = own.get(int(sample.labels["texts"]), Passes()), int(sample.labels["texts"])
                more = Passes(sample.value, 0) if sample.name == PASSES[0] else Passes(0, sample.value)
                own[size] = before + more
    models = {*found, *passes}
    return {model: Counts(**found.get(model, {}), passes=passes.get(model, {})) for model in models}
