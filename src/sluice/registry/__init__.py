"""MLflow: runs, lineage, versions, aliases, promotions. Nothing else imports mlflow."""
