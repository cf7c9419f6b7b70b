"""Learning from unlabelled text: tokens once into mapped files, then a Trainer over them."""
