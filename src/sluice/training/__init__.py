"""Fine-tuning with the transformers Trainer: assembly, resume, the best checkpoint."""
