"""The search for better settings. Nothing else knows Optuna."""
