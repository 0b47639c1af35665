"""From a dataclass to options on the command line, with faults told in one line."""

import contextlib
import io
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TypeVar

import tyro

from riemann_noise_pytorch.errors import InputError

Options = TypeVar("Options")


def parse(
    kind: type[Options],
    verb: str,
    arguments: Sequence[str],
    default: Options | None = None,
    epilogue: Callable[[], str] | None = None,
) -> Options:
    """Read the options of a verb.

    Args:
        kind: A dataclass: each field is an option, its docstring the help.
        verb: The verb, for messages.
        arguments: What followed the verb on the command line.
        default: Values for what is not given; the dataclass's own by default.
        epilogue: Gives what stands below the options in the help.

    Returns:
        The options.

    Raises:
        InputError: An unknown option (the nearest is suggested), a value that cannot be read, or something
            missing.
        SystemExit: After ``--help``, with code 0.
    """
    program = f"riemann-noise {verb}"
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            if default is None:
                return tyro.cli(kind, prog=program, args=list(arguments))
            return tyro.cli(kind, prog=program, args=list(arguments), default=default)
    except SystemExit as end:
        if not end.code:
            if epilogue is not None:
                print(f"\n{epilogue()}")
            raise
    _check_names(kind, program, arguments)
    raise InputError(f"{_one_line(complaint.getvalue())}; '{program} --help' explains the options")


def peek(arguments: Sequence[str], name: str) -> str | None:
    """Find the value of one option before the others are read, for it decides their defaults.

    Args:
        arguments: What followed the verb on the command line.
        name: The option, with its dashes.

    Returns:
        The last value given, or None.

    Example:
        >>> peek(["--kimg", "2", "--preset", "dcgan-rni"], "--preset")
        'dcgan-rni'
        >>> peek(["--preset=dcgan"], "--preset")
        'dcgan'
    """
    value = None
    for i, argument in enumerate(arguments):
        if argument == name and i + 1 < len(arguments):
            value = arguments[i + 1]
        elif argument.startswith(f"{name}="):
            value = argument.partition("=")[2]
    return value


def _check_names(kind: type[object], program: str, arguments: Sequence[str]) -> None:
    valid = _names(kind, program)
    for argument in arguments:
        name = argument.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name not in valid:
            near = get_close_matches(name, valid, n=1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else ";"
            raise InputError(f"unknown option '{name}'{hint} '{program} --help' lists them all")


def _names(kind: type[object], program: str) -> list[str]:
    listed = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(listed):
        tyro.cli(kind, prog=program, args=["--help"])
    return re.findall(r"--[a-z][a-z0-9-]*", listed.getvalue())


def _one_line(box: str) -> str:
    """What a box of tyro's says above its first ruled line; plain ones, for ASCII, have a ruled title."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    rows = [row.strip("│ ") for row in plain.splitlines() if not row.startswith(("╭", "╰"))]
    rules = [*(i for i, row in enumerate(rows) if row and set(row) <= set("─-")), len(rows)]
    first = rules.pop(0) + 1 if "╭" not in plain and len(rules) > 1 else 0
    return " ".join(row for row in rows[first : rules[0]] if row).rstrip(".")
