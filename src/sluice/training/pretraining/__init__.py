"""Masked language modelling on unlabelled text: tokens once into mapped files, then a Trainer over them."""
