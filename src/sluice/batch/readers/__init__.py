"""An input file as blocks, in memory that does not grow with the file: one file a format."""
