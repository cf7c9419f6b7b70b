"""Everything from rows to a registered challenger, in one process: the last stage asks for all before it."""

from pipelines.register import command as command
from pipelines.shared.entry import main

if __name__ == "__main__":
    main(command)
