"""What the rows show, held against bounds, and the report that tells it."""
