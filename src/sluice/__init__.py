"""Sluice: from rows of text to a gated, versioned and served Transformer."""
