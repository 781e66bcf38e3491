"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """Bad input. The message is one line: `<file or key>: <cause>; <what to do>`."""
