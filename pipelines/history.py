"""Every decision about a model, oldest first."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.registry.promotions import Decision, history
from sluice.registry.store import Store
from sluice.registry.versions import CANARY, CHALLENGER, CHAMPION, SHADOW, lookup


def command(cfg: Config) -> None:
    """`make history`."""
    store = Store(cfg.root, cfg.tracking_uri)
    decisions = history(store, cfg.name)
    for decision in decisions:
        print(_line(decision))
    if not decisions:
        print(f"no decision about {cfg.name} yet")
    for alias in (CHAMPION, CHALLENGER, CANARY, SHADOW):
        print(f"{alias}: {lookup(store, cfg.name, alias) or 'none'}")


def _line(decision: Decision) -> str:
    when = datetime.fromtimestamp(decision.time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    move = f"{decision.source or '-'} -> {decision.target}"
    state = "forced" if decision.force and decision.state == "done" else decision.state
    why = f'  "{decision.force}"' if decision.force else ""
    reasons = "".join(f"\n    {reason}" for reason in decision.reasons.splitlines())
    return f"{when}  {decision.action:<8}  {move:<9}  {state:<11}  {decision.who}{why}{reasons}"


if __name__ == "__main__":
    main(command, record=False)
