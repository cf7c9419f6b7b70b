"""Where rows come from: the docstrings of installed packages, your files, the hub; and unlabelled text."""
