"""The history of decisions: each is a run in the experiment `promotions`, intent first, done last.

The champion alias alone is the truth; a decision that was cut off is settled against it at the next start.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sluice.part import digest
from sluice.registry.runs import NOTE, Run, open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, lookup

EXPERIMENT = "promotions"
Action = Literal["promote", "rollback", "canary", "shadow", "stop"]
MOVES = ("promote", "rollback")
"""Those that move the champion."""
State = Literal["intent", "done", "refused", "interrupted"]


@dataclass(frozen=True)
class Decision:
    """One decision as the history tells it."""

    run_id: str
    time: int
    """Milliseconds since 1970, UTC."""
    action: Action
    state: State
    source: int | None
    """Champion before."""
    target: int
    """Champion after, if it came to that."""
    who: str
    force: str
    """Why a refusal was overruled, empty where it was not."""
    reasons: str


def begin(store: Store, name: str, action: Action, source: int | None, target: int, force: str | None) -> Run:
    """Record the intent, before anything moves."""
    from time import time_ns

    title = f"{target} {action} {name}"
    tags = {
        "sluice.name": name,
        "sluice.action": action,
        "sluice.state": "intent",
        "sluice.from": str(source or ""),
        "sluice.to": str(target),
        "sluice.who": who(),
        "sluice.force": force or "",
    }
    return open_run(store, EXPERIMENT, title, digest([name, action, target, time_ns()]), tags=tags)


def end(run: Run, state: State, reasons: Sequence[str], note: str = "") -> None:
    """Record how it ended."""
    run.tags({"sluice.state": state, "sluice.reasons": "\n".join(reasons)[:4900], NOTE: note[:4900]})
    run.finish()


def history(store: Store, name: str) -> list[Decision]:
    """All decisions about a model, oldest first."""
    experiment = store.experiment(EXPERIMENT)
    found = store.client.search_runs(
        [experiment],
        f"tags.`sluice.name` = '{name}'",
        order_by=["attributes.start_time ASC"],
        max_results=10_000,
    )
    return [_decision(run) for run in found]


def settle(store: Store, name: str) -> list[str]:
    """End decisions that a kill cut off, by where the alias stands now. Returns what to tell the user."""
    champion = lookup(store, name, CHAMPION)
    number = champion.number if champion else None
    told = []
    for decision in history(store, name):
        if decision.state != "intent":
            continue
        moved = number == decision.target if decision.action in MOVES else False
        state: State = "done" if moved else "interrupted"
        end(Run(store, decision.run_id), state, ["cut off before it was recorded as ended"])
        stands = f"{name}:{number}" if number else "none"
        told.append(f"an earlier {decision.action} of {name}:{decision.target} was cut off; champion is {stands}")
    return told


def previous(store: Store, name: str) -> int | None:
    """The champion before the present one: promotions stack up, a rollback takes the top away."""
    stack: list[int] = []
    for decision in history(store, name):
        if decision.state != "done" or decision.action not in MOVES:
            continue
        if decision.action == "rollback" and decision.target in stack:
            del stack[stack.index(decision.target) + 1 :]
        elif not stack or stack[-1] != decision.target:  # a champion may be measured again, for another engine
            stack.append(decision.target)
    return stack[-2] if len(stack) > 1 else None


def who() -> str:
    """The user and machine that a decision is recorded under."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _decision(run: object) -> Decision:
    tags = run.data.tags  # type: ignore[attr-defined]
    return Decision(
        run_id=run.info.run_id,  # type: ignore[attr-defined]
        time=run.info.start_time,  # type: ignore[attr-defined]
        action=tags["sluice.action"],
        state=tags["sluice.state"],
        source=int(tags["sluice.from"]) if tags["sluice.from"] else None,
        target=int(tags["sluice.to"]),
        who=tags["sluice.who"],
        force=tags["sluice.force"],
        reasons=tags.get("sluice.reasons", ""),
    )
