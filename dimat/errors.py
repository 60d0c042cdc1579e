"""The one exception for mistakes a user can mend."""


class InputError(Exception):
    """Bad input: a wrong key, value or file.

    The message is one line that names the key or file, the value found, and what is expected. The
    command line prints it without a traceback and exits with code 2.
    """


class LostAgent(Exception):
    """The process of another agent is gone or does not answer."""
