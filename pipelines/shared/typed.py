"""What the user typed, made ready for Hydra, whose grammar takes a comma, a bracket or an apostrophe for its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

FREE_TEXT = ("force", "query", "question")
"""Settings whose value is a sentence."""
SWEEP = ("-m", "--multirun")


def ready(arguments: Sequence[str]) -> list[str]:
    """The arguments with sentences and unusual file names in quotes, and the sweep's flag in front of all others."""
    return [*(one for one in arguments if one in SWEEP), *_quoted(one for one in arguments if one not in SWEEP)]


def _quoted(arguments: Iterator[str]) -> Iterator[str]:
    for argument in arguments:
        key, sign, value = argument.partition("=")
        plain = not sign or not value or argument[0] == "-" or value[0] in "'\""
        if plain or (key not in FREE_TEXT and _is_hydra(argument)):
            yield argument
        else:
            escaped = value.replace("'", "\\'")
            closing = "\\'" if escaped.endswith("\\") else "'"  # a backslash at the end would escape the quote
            yield f"{key}='{escaped}{closing}"


def _is_hydra(argument: str) -> bool:
    """Whether Hydra's grammar takes it as it is; most values have no sign that could be meant otherwise."""
    value = argument.partition("=")[2]
    if value.isascii() and re.fullmatch(r"[\w./-]*", value):
        return True
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True
