"""What can go wrong by the user's doing, said in one line: the cause, then the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class RiemannNoiseError(Exception):
    """An error with a one-line message; the command line prints it and leaves with ``exit_code``."""

    exit_code = 2


class InputError(RiemannNoiseError, ValueError):
    """What was given cannot be used."""


class NonFiniteError(RiemannNoiseError, ArithmeticError):
    """A number that must be finite is not."""


class Interrupted(RiemannNoiseError):  # noqa: N818 - a request to stop, not a fault
    """Work was stopped on request after its state had been saved.

    Args:
        message: One line: what was stopped, and how to go on.
        signal_number: The signal that asked for it; the exit code is 128 plus this number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)  # all arguments, for pickling
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """Build the error for a name that is not among the valid ones, suggesting the nearest.

    Args:
        kind: What the name stands for, as in ``unknown <kind>``.
        name: The name as it was given.
        valid: All names that would have been accepted.

    Returns:
        The error, for the caller to raise.

    Example:
        >>> print(unknown_name("preset", "dcgan-rnl", ["dcgan", "dcgan-rni"]))
        unknown preset 'dcgan-rnl'; did you mean 'dcgan-rni'? Valid: dcgan, dcgan-rni
    """
    names = sorted(valid)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return InputError(f"unknown {kind} '{name}'{hint} Valid: {', '.join(names)}")
