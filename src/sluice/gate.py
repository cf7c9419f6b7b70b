"""The gate: what a challenger has to show before users see it. Pure: evidence and rules in, a verdict out."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from sluice.metrics.direction import sign
from sluice.part import Part

NOISE = 0.10
"""An A/A control further than this from 1 says that the machine is too noisy to compare latencies."""


class Gate(Part):
    """The rules. `null` switches an optional rule off; what is on and was not measured refuses."""

    max_drop: float = Field(0.01, ge=0)
    """Refuse when the lower bound of (challenger - champion) in the primary metric is below -max_drop."""
    min_gain: float | None = None
    """Refuse when the mean of (challenger - champion) in the primary metric is below this."""
    floors: dict[str, float] | None = None
    """Least value of a metric on the test split, by name: `{accuracy: 0.6}`; most where less is better."""
    baseline_margin: float | None = 0.0
    """Refuse when (challenger - strong baseline), mean of the primary metric, is below this."""
    max_latency_ratio: float | None = Field(1.5, gt=0)
    """Refuse when the challenger takes more than this times the champion's time for the same texts."""
    max_size_ratio: float | None = Field(2.0, gt=0)
    """Refuse when the challenger's weights are more than this times the champion's, in bytes."""
    max_slice_drop: float | None = Field(0.05, ge=0)
    """Refuse when the champion is better by more than this on any slice, beyond the bootstrap bound."""
    min_behaviour: float | None = Field(None, gt=0, le=1)
    """Least share of the behavioural checks of every kind that must hold."""


class Bounds(Part):
    """A difference with its bootstrap bounds, positive where the challenger is better; NaN where not measured."""

    mean: float
    low: float
    high: float
    p: float | None = None
    """Of a paired permutation test: the chance of such a difference between models that are alike."""

    def __str__(self) -> str:
        chance = "" if self.p is None else f" p {self.p:.3f}"
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]{chance}"


class Against(Part):
    """Challenger beside champion, measured on the same rows of the challenger's test split."""

    difference: Bounds
    """Challenger minus champion in the primary metric, the other way round where less is better."""
    latency_ratio: float
    """Median time of the challenger over the champion's, interleaved; NaN where no rule asks for it."""
    latency_control: float
    """The same between two copies of the champion: 1 on a quiet machine."""
    size_ratio: float
    """Bytes of weights."""
    slices: dict[str, Bounds]
    """Difference in the primary metric by slice, for slices that are large enough."""
    seen: int
    """Test rows that stand in the champion's training manifest."""


class Evidence(Part):
    """Everything that the gate may look at."""

    metric: str
    """Name of the primary metric."""
    scores: dict[str, float]
    """The challenger's metrics on its test split."""
    trivial: dict[str, Bounds]
    """Challenger minus baselines that know nothing (majority): to be beaten beyond the bound."""
    strong: dict[str, Bounds]
    """Challenger minus baselines that a team would otherwise ship."""
    behaviour: dict[str, float] | None = None
    """Share of the behavioural checks that held, by kind; None where the training had no cases."""
    seen: int
    """Test rows that stand in the challenger's own training manifest."""
    champion: Against | None
    """None at a first promotion."""


class Check(Part):
    """One rule applied: what was found, what the rule wants, and whether that is refused."""

    name: str
    passed: bool
    found: str
    rule: str


class Verdict(Part):
    """All checks; one that failed refuses."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the challenger may pass."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> list[str]:
        """Why it may not, one line a failed check."""
        return [f"{check.name}: {check.found}; {check.rule}" for check in self.checks if not check.passed]


def verdict(evidence: Evidence, rules: Gate) -> Verdict:
    """Apply every rule. A comparison with NaN is never true here, so what could not be measured refuses.

    The order of the checks follows from names, not from the evidence: a receipt that is read gives the same verdict.
    """
    checks = [*_alone(evidence, rules)]
    if evidence.champion:
        checks += _against(evidence.metric, evidence.champion, rules)
    return Verdict(checks=tuple(checks))


def _alone(evidence: Evidence, rules: Gate) -> Iterator[Check]:
    yield _seen("test rows in its own training data", evidence.seen)
    primary = evidence.scores.get(evidence.metric, math.nan)
    asked = rules.floors or {}
    for metric in {evidence.metric: None, **asked}:
        value = primary if metric == evidence.metric else evidence.scores.get(metric, math.nan)
        yield _bound(metric, value, asked.get(metric))
    if rules.min_behaviour is not None:
        for kind, share in sorted((evidence.behaviour or {"of any kind": math.nan}).items()):
            yield Check(
                name=f"behaviour: {kind}",
                passed=share >= rules.min_behaviour,
                found="not measured" if math.isnan(share) else f"{share:.4f}",
                rule=f"at least {rules.min_behaviour:g}",
            )
    for name, bounds in sorted(evidence.trivial.items()):
        yield Check(
            name=f"{evidence.metric} over {name}",
            passed=bounds.low > 0,
            found=str(bounds),
            rule="lower bound above 0",
        )
    for name, bounds in sorted(evidence.strong.items()):
        margin = rules.baseline_margin
        yield Check(
            name=f"{evidence.metric} over {name}",
            passed=margin is None or bounds.mean >= margin,
            found=str(bounds),
            rule="printed only" if margin is None else f"mean at least {margin:+g}",
        )


def _bound(metric: str, value: float, bound: float | None) -> Check:
    """A floor, of a metric of which less is better a ceiling; a headline figure without one has to be a number."""
    falling = sign(metric) < 0
    if bound is None:
        bound = math.inf if falling else 0.0
    return Check(
        name=f"{metric} {'ceiling' if falling else 'floor'}",
        passed=value <= bound if falling else value >= bound,
        found=f"{value:.4f}",
        rule=f"at {'most' if falling else 'least'} {bound:g}",
    )


def _against(metric: str, against: Against, rules: Gate) -> Iterator[Check]:
    yield _seen("test rows in the champion's training data", against.seen)
    difference = against.difference
    yield Check(
        name=f"{metric} against the champion",
        passed=difference.low >= -rules.max_drop,
        found=str(difference),
        rule=f"lower bound at least {-rules.max_drop:+g}",
    )
    if rules.min_gain is not None:
        yield Check(
            name=f"{metric} gain",
            passed=difference.mean >= rules.min_gain,
            found=f"{difference.mean:+.4f}",
            rule=f"mean at least {rules.min_gain:+g}",
        )
    if rules.max_latency_ratio is not None:
        yield _latency(against, rules.max_latency_ratio)
    if rules.max_size_ratio is not None:
        yield Check(
            name="size against the champion",
            passed=against.size_ratio <= rules.max_size_ratio,
            found=f"{against.size_ratio:.2f}x",
            rule=f"at most {rules.max_size_ratio:g}x",
        )
    if rules.max_slice_drop is not None:
        yield _worst_slice(against.slices, rules.max_slice_drop)


def _seen(name: str, rows: int) -> Check:
    return Check(name=name, passed=rows == 0, found=str(rows), rule="none")


def _latency(against: Against, limit: float) -> Check:
    quiet = abs(against.latency_control - 1) <= NOISE
    found = f"{against.latency_ratio:.2f}x (control {against.latency_control:.2f}x)"
    return Check(
        name="latency against the champion",
        passed=quiet and against.latency_ratio <= limit,
        found=found if quiet else f"{found}: the machine is too noisy",
        rule=f"at most {limit:g}x, control within {NOISE:.0%}",
    )


def _worst_slice(slices: dict[str, Bounds], limit: float) -> Check:
    """Refuse when on some slice even the favourable bound of the difference is below the limit."""
    rule = f"upper bound at least {-limit:+g} on every slice"
    if not slices:
        return Check(name="worst slice", passed=True, found="no slice is large enough", rule=rule)
    measured = {name: bounds for name, bounds in slices.items() if not math.isnan(bounds.high)}
    if len(measured) < len(slices):
        return Check(name="worst slice", passed=False, found="a slice could not be measured", rule=rule)
    name = min(measured, key=lambda one: (measured[one].high, one))
    return Check(name="worst slice", passed=measured[name].high >= -limit, found=f"{name} {measured[name]}", rule=rule)
