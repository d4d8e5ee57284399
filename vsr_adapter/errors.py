"""The one exception that users see."""


class UserError(ValueError):
    """A mistake that a user can mend: one line that gives the value, the rule and the remedy.

    The command line prints the message alone and exits with 1; every other exception is a bug of ours
    and keeps its traceback.
    """
