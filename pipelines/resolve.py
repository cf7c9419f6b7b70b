"""Which version the champion is and where its bundle lies, as one line of JSON: what the service asks at its start."""

from __future__ import annotations

import json
from typing import Any

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, Version, fetch, lookup
from sluice.search.shelf import newest


def describe(store: Store, version: Version, alias: str | None) -> dict[str, Any]:
    """A served version in the form of `serving.slot.SlotDescription`."""
    folder = fetch(store, version)
    bundle = Bundle.read(folder)
    index = newest(store.root / "work", version.digest)
    return {
        "name": version.name,
        "version": version.number,
        "alias": alias,
        "task": bundle.task,
        "folder": str(folder.absolute()),
        "index": str(index) if index else None,
        "digest": version.digest,
        "data": bundle.lineage.data,
        "created": version.created,
    }


def command(cfg: Config) -> None:
    """Print the champion, or the version asked for."""
    store = Store(cfg.root, cfg.tracking_uri)
    version = lookup(store, cfg.name, cfg.version or CHAMPION)
    if version is None:
        raise UserError(f"{cfg.name} has no champion yet: run make train and make promote")
    print(json.dumps(describe(store, version, None if cfg.version else CHAMPION)))


if __name__ == "__main__":
    main(command, record=False)
