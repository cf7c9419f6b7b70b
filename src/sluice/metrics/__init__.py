"""Metrics as `evaluate.Metric` subclasses, and the statistics of comparing two models on the same rows."""
