"""Benchmarks: commands that print the figures of docs/benchmarks.md. They are not tests and assert nothing."""
