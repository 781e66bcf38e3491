"""What goes wrong and is not ours to mend, told in one line."""


class UserError(Exception):
    """Bad input. The message is one line: `<file or key>: <cause>; <what to do>`."""


def describe_os_error(error: Exception) -> str:
    """That line for what the operating system, or a library that writes files, has refused."""
    name = getattr(error, "filename", None)
    cause = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
    return f"{name or 'a file'}: {cause}; make room, or mend its permissions, and run this again"


def in_one_line(error: Exception) -> str:
    """Of what kind an error is, and what it says; one of ours says enough."""
    text = " ".join(str(error).split())
    kind = "" if isinstance(error, UserError) else type(error).__name__
    return ": ".join(filter(None, (kind, text)))[:200]
