"""How fast the service is beside the servers that people would take instead: `make bench-serve`."""
