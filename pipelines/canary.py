"""A version beside the champion: as a canary it answers a share of the callers."""

from __future__ import annotations

from pipelines.shared.entry import main
from pipelines.shared.flight import fly
from sluice.config import Config
from sluice.registry.versions import CANARY


def command(cfg: Config) -> None:
    """`make canary`: what goes wrong within its bounds is stopped by the service's follower."""
    fly(cfg, CANARY)


if __name__ == "__main__":
    main(command)
