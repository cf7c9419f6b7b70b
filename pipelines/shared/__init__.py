"""What the commands share: the way in, the session, errors in the user's words, sweeps."""
