"""Semantic search: documents cut into passages, embedded once, kept in a table, asked by meaning."""
