"""What a check found, held against its bound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sluice.data.inspection.settings import Checks

State = Literal["passed", "warned", "stopped"]
SHOWN = 3
"""Rows that a finding names."""


@dataclass(frozen=True)
class Finding:
    """One check's outcome."""

    title: str
    setting: str
    """The field of `Checks` that bounds it."""
    found: float
    says: str
    """What was found, in words and with its unit."""
    bound: float | None
    state: State
    rows: list[str] = field(default_factory=list)
    """Origins of the first rows concerned."""
    cure: str = ""

    @property
    def name(self) -> str:
        """A word for a metric: the setting's own, for a column's drift with the column."""
        word = self.setting.removeprefix("max_").removeprefix("min_")
        column = re.sub(r"[^\w.-]", "_", self.title.partition(" column ")[2])
        return f"{word}_{column}" if column else word

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, **asdict(self)}

    def line(self) -> str:
        """What was found and where, for a terminal."""
        return f"{self.title}: {self.says}{', ' if self.rows else ''}{', '.join(self.rows)}"

    def refusal(self) -> str:
        """The sentence that stops a run."""
        less, change = ("less", "lower") if self.setting.startswith("min_") else ("more", "raise")
        cure = f"{self.cure}, or " if self.cure else ""
        return f"{self.line()}. checks.{self.setting}={self.bound:g} allows no {less}: {cure}{change} it"


def judge(
    checks: Checks,
    setting: str,
    title: str,
    found: float,
    says: str,
    *,
    rows: Sequence[str] = (),
    cure: str = "",
    notice: float = 0.0,
    certain: bool = True,
) -> Finding:
    """Hold a figure against its bound; beyond `notice` it is a warning.

    `certain` is false where chance explains the figure: then it neither stops nor warns.
    """
    bound = getattr(checks, setting)
    least = setting.startswith("min_")

    def beyond(limit: float) -> bool:
        return certain and (found < limit if least else found > limit)

    state: State = "stopped" if bound is not None and beyond(bound) else "warned" if beyond(notice) else "passed"
    return Finding(title, setting, float(found), says, bound, state, list(rows[:SHOWN]), cure)


def share(count: int, of: int, what: str) -> str:
    """`12 of 5,574 rows (0.2 %)`."""
    return f"{count:,} of {of:,} {what} ({percent(count / of if of else 0.0)})"


def percent(value: float) -> str:
    """A share with as many digits as it deserves: small ones are not rounded to nothing."""
    digits = 1 if value >= 0.001 or not value else 3
    return f"{value * 100:.{digits}f} %"
