"""Rows of text: where they come from, what is wrong with them, which side of the split they stand on."""
