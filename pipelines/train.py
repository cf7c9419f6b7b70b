"""Everything from rows to a registered challenger, in one process: the last stage asks for all before it."""

from pipelines.entry import main
from pipelines.register import command as command

if __name__ == "__main__":
    main(command)
