"""Which way a metric is better."""

from __future__ import annotations

FALLING = frozenset({"nats_per_token", "perplexity", "bits_per_byte", "hamming_loss", "mae", "rmse"})
"""Metrics of which less is better; of all others more is."""


def sign(metric: str) -> int:
    """1 where more is better, -1 where less is."""
    return -1 if metric in FALLING else 1
