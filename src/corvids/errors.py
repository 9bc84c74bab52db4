"""The one base class of every error that is the user's to mend."""


class CorvidsError(Exception):
    """Wrong input. The message is one line: what is wrong, where, and what would be right.

    The command line prints that line and exits with code 2; anything that is not a ``CorvidsError`` is a defect of
    corvids and keeps its traceback.
    """
