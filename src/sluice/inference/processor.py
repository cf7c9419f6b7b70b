"""The processor: what it is called, and what of its instructions decides how fast a form of a model is."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from sluice.part import Part

FEATURES = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Instructions for products of matrices, as Linux names them: x86, then Arm."""
BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Any of these computes in bfloat16; other processors would turn each number round."""


class Processor(Part):
    """What a form was measured on."""

    model: str
    features: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.model} ({', '.join(self.features) or 'no instructions that matter'})"


@cache
def processor(info: Path = Path("/proc/cpuinfo")) -> Processor:
    """This machine's; without features where the system does not tell them."""
    told: dict[str, str] = {}
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            told.setdefault(name.strip(), value.strip())
    there = set((told.get("flags") or told.get("Features") or "").split())
    model = told.get("model name") or platform.processor() or platform.machine()
    return Processor(model=model, features=tuple(name for name in FEATURES if name in there))


def computes_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16."""
    return bool(BFLOAT16 & set(processor().features))
