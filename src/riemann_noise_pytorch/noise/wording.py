"""How messages name a module, and quote a value or the error of another."""

_LENGTH = 300
_VALUE = 60


def told(name: str) -> str:
    """A qualified name in a message; the network itself has an empty one."""
    return name or "the model"


def reason_of(error: BaseException) -> str:
    r"""Put the type and the message of an error into one line, cut where it is long.

    Example:
        >>> reason_of(ValueError("one\n  two"))
        'ValueError: one two'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LENGTH].rstrip(": ")


def shown(value: object) -> str:
    """Write a value in one line, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}..."
