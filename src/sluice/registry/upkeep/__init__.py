"""Keeping what MLflow holds in order: moved, backed up, examined, cleaned."""
