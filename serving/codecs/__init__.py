"""Codecs: a protocol's words for the core's `Request` and `Answer`. None knows a model."""
