"""The one error that a user can mend."""


class UserError(ValueError):
    """Wrong input: a file, key or box. The tools print the message on one line and exit with 1, without a traceback."""
