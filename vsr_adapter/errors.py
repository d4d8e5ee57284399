"""The exceptions that users see."""


class UserError(ValueError):
    """A mistake that a user can mend: one line that gives the value, the rule and the remedy.

    The command line prints the message alone and exits with 1; every other exception is a bug of ours
    and keeps its traceback.
    """

    def __init__(self, message: str):
        # DataLoader raises a worker's error anew, with the worker's whole traceback as its message
        if message.startswith("Caught ") and "\n" in message:
            message = message.strip().splitlines()[-1].split("Error: ", 1)[-1]
        super().__init__(message)


class CommandLineError(UserError):
    """The command line is wrong: exit code 2."""
