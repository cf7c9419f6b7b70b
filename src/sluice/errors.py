"""The one error that is the user's to mend."""


class UserError(Exception):
    """What is wrong, where, what was expected and how to mend it, in one or two lines.

    Entry points print it without a traceback and exit with code 2.
    """
