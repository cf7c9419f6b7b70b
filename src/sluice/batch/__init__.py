"""Batch prediction: files larger than memory through the same predictor as the service."""
