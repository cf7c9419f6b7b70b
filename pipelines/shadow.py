"""A version beside the champion: as a shadow it answers the same texts, and nobody gets its answers."""

from __future__ import annotations

from pipelines.shared.entry import main
from pipelines.shared.flight import fly
from sluice.config import Config
from sluice.registry.versions import SHADOW


def command(cfg: Config) -> None:
    """`make shadow`: how often it disagrees stands in the service's figures."""
    fly(cfg, SHADOW)


if __name__ == "__main__":
    main(command)
