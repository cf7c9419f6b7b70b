"""Which versions are served and where their bundles lie, as one line of JSON: for a service that does not follow."""

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
from sluice.registry.versions import CANARY, CHAMPION, SHADOW, Version, kept, lookup
from sluice.search.shelf import newest


def describe(store: Store, version: Version, alias: str | None) -> dict[str, Any]:
    """A served version in the form of `serving.slot.SlotDescription`."""
    folder = kept(store, version, store.root / "work" / "serve" / "bundles")
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


FLYING = (CANARY, SHADOW)
Meant = tuple[Version, str | None, str | None]
"""A version, the alias that led to it, and the newest index of it."""


def command(cfg: Config) -> None:
    """Print what `serve.models` means, or where that is empty, the champion of `name`, or its version asked for."""
    store = Store(cfg.root, cfg.tracking_uri)
    print(json.dumps([described(store, one) for one in meant(store, cfg)]))


def meant(store: Store, cfg: Config) -> list[Meant]:
    """What is to be served, as the registry has it now. Cheap enough to ask every second."""
    references = cfg.serve.models or (f"{cfg.name}:{cfg.version}" if cfg.version else cfg.name,)
    flies = [reference for reference in references if reference.partition("@")[2] in FLYING]
    found = [_meant(store, reference) for reference in references if reference not in flies]
    champions = {version.name: version for version, alias, _ in found if alias == CHAMPION}
    # What is named by such an alias stays away as long as nothing has it, unless there is nothing else to serve.
    asked = [(name, alias) for name in champions for alias in FLYING] + [
        (name_of(reference), reference.partition("@")[2]) for reference in flies
    ]
    for name, alias in dict.fromkeys(asked):
        flying = lookup(store, name, alias)
        if flying and flying != champions.get(name):
            found.append((flying, alias, _index(store, flying)))
    return found or [_meant(store, reference) for reference in references]


def described(store: Store, meant: Meant) -> dict[str, Any]:
    """The same as `describe`."""
    return describe(store, meant[0], meant[1])


def _meant(store: Store, reference: str) -> Meant:
    name = name_of(reference)
    version = reference.partition(":")[2]
    alias = None if version else reference.partition("@")[2] or CHAMPION
    found = lookup(store, name, int(version) if version else alias or CHAMPION)
    if found is None and alias == CHAMPION:
        raise UserError(f"{name} has no champion yet: run make train and make promote")
    if found is None:
        raise UserError(f"the registry has no {reference}: make history{named(name)} lists what there is")
    return found, alias, _index(store, found)


def _index(store: Store, version: Version) -> str | None:
    found = newest(store.root / "work", version.digest)
    return str(found) if found else None


if __name__ == "__main__":
    main(command, record=False)
