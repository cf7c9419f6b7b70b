"""The texts that every server is asked: short, of mixed lengths, the same in every run."""

from __future__ import annotations

import math
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from sluice.data.sources.docstrings import SKIPPED_FOLDERS, parse_files

if TYPE_CHECKING:
    import numpy.typing as npt
    from transformers import PreTrainedTokenizerBase

SHORTEST, LONGEST = 5, 160
MEAN = 42
"""Tokens a text, special tokens included, before lengths beyond the bounds are moved to them: about 40 after it."""
SPREAD = 0.7
"""Standard deviation of a length's logarithm."""
BLOCK = 50
"""Texts after which the lengths begin anew: in a short time, too, every server has its share of long ones."""


def docstrings() -> list[str]:
    """Those of the standard library, each once."""
    root = Path(sysconfig.get_paths()["stdlib"])
    left_out = {*SKIPPED_FOLDERS, "site-packages", "idlelib", "lib2to3"}
    names = (path.relative_to(root) for path in root.rglob("*.py"))
    files = {name.as_posix(): str(root / name) for name in sorted(names) if not left_out.intersection(name.parts)}
    return list(dict.fromkeys(doc.text for doc in parse_files(files, max_characters=4000).docs))


def mixed(tokenizer: PreTrainedTokenizerBase, docs: Sequence[str], count: int) -> list[str]:
    """Docstrings cut to lengths that are distributed log-normally, in every block of them alike."""
    rng = np.random.default_rng(0)
    some = [docs[at] for at in rng.permutation(len(docs))]
    ends = tokenizer(some, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    lengths = np.concatenate([_lengths(rng) for _ in range(math.ceil(count / BLOCK))])[:count].tolist()
    long_enough = {wanted: [at for at, own in enumerate(ends) if len(own) >= wanted] for wanted in set(lengths)}
    picked = [(wanted, long_enough[wanted][turn % len(long_enough[wanted])]) for turn, wanted in enumerate(lengths)]
    # The last of the wanted tokens is the special one that closes a text.
    return [some[at][: ends[at][wanted - 2][1]] for wanted, at in picked]


def _lengths(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """One length from each of as many equal parts of the distribution, in any order."""
    quantiles = (rng.permutation(BLOCK) + rng.random(BLOCK)) / BLOCK
    drawn = np.exp(math.log(MEAN) - SPREAD**2 / 2 + SPREAD * norm.ppf(quantiles))
    return np.clip(np.rint(drawn), SHORTEST, LONGEST).astype(np.int64)
