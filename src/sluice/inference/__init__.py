"""Prediction from a bundle. Evaluation, batch prediction and the service all go through here."""
