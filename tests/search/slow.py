"""As a script: builds an index of `<corpus>` in `<folder>`, slowly enough to be killed on the way."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sluice.search.build import build
from sluice.search.documents import open_corpus
from tests.search.vectors import embed, settings


def slowly(texts: Sequence[str]) -> np.ndarray:
    time.sleep(0.03)
    return embed(texts)


if __name__ == "__main__":
    folder, corpus = map(Path, sys.argv[1:])
    folder.mkdir(exist_ok=True)
    chosen = settings(corpus, words=40)
    build(folder, open_corpus(chosen, folder), slowly, chosen)
