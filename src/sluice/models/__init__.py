"""A tokenizer and a model, from a size and a seed or from a checkpoint."""
