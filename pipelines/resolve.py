"""Which versions are served and where their bundles lie, as one line of JSON: what the service asks at its start."""

from __future__ import annotations

import json
from typing import Any

from pipelines.shared.entry import main
from pipelines.shared.session import named
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.inference.settings import name_of
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
    """Print what `serve.models` means, or where that is empty, the champion of `name`, or its version asked for."""
    store = Store(cfg.root, cfg.tracking_uri)
    references = cfg.serve.models or (f"{cfg.name}:{cfg.version}" if cfg.version else cfg.name,)
    print(json.dumps([_described(store, reference) for reference in references]))


def _described(store: Store, reference: str) -> dict[str, Any]:
    name = name_of(reference)
    version = reference.partition(":")[2]
    alias = None if version else reference.partition("@")[2] or CHAMPION
    found = lookup(store, name, int(version) if version else alias or CHAMPION)
    if found is None and alias == CHAMPION:
        raise UserError(f"{name} has no champion yet: run make train and make promote")
    if found is None:
        raise UserError(f"the registry has no {reference}: make history{named(name)} lists what there is")
    return describe(store, found, alias)


if __name__ == "__main__":
    main(command, record=False)
