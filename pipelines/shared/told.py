"""What the service is told of its settings: written by a promotion, read when the service starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from sluice.config import Config, load_file, to_yaml
from sluice.files import write_text


def told(cfg: Config) -> Config | None:
    """What it was told last; None where nothing was promoted here, or by a Sluice that had other settings."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return load_file(_file(cfg)) if _file(cfg).exists() else None
    except (ValidationError, HydraException, OmegaConfBaseException):
        return None


def tell(cfg: Config) -> None:
    """Write it, and say which settings are others than before."""
    if before := told(cfg):
        names = type(cfg.serve).model_fields
        changed = [f"serve.{name}" for name in names if getattr(before.serve, name) != getattr(cfg.serve, name)]
        if changed:
            print(f"the service's settings change from those of before: {', '.join(changed)}")
    write_text(_file(cfg), to_yaml(cfg))


def _file(cfg: Config) -> Path:
    return cfg.root / "work" / "serve" / "config.yaml"
