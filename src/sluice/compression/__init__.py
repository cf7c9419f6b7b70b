"""Faster forms of a trained model: the same function in another file format, or in smaller numbers."""
