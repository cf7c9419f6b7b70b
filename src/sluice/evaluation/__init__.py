"""What a model is worth: figures with intervals, baselines beside them, errors, latency."""
