"""A version as a Bento: the service, sluice itself and a copy of the bundle, able to run on its own."""

from __future__ import annotations

from pipelines.resolve import describe
from pipelines.shared.entry import main
from pipelines.shared.session import REPOSITORY
from sluice.config import Config
from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, Version, find


def build(cfg: Config, store: Store, version: Version, alias: str | None) -> str:
    """Build the Bento `name:v<version>` and return its tag."""
    from serving.bento import build_bento

    return build_bento(REPOSITORY, describe(store, version, alias), cfg)


def command(cfg: Config) -> None:
    """`make package`: any version, without promoting it."""
    store = Store(cfg.root, cfg.tracking_uri)
    tag = build(cfg, store, find(store, cfg.name, cfg.version or CHALLENGER), None)
    print(f"Bento {tag}. Next: bentoml serve {tag}")


if __name__ == "__main__":
    main(command)
