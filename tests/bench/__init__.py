"""Benchmarks, each a command. Mistakes come out as those of the other commands do: one line, exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable


def told(main: Callable[[], None]) -> None:
    """Run a benchmark's `main`."""
    from pipelines.shared.wording import explain

    try:
        main()
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        sys.exit(_say(text))


def _say(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return 2


def whole(text: str) -> int:
    """A whole number of at least one, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)
