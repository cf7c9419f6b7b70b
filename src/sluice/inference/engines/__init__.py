"""The engines: how a bundle's model may be run."""
