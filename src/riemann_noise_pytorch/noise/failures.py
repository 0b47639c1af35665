"""What failed in a network of the user's own, told in a few words."""

import sysconfig
import traceback
from pathlib import Path

import torch

NOT_THE_USERS = (
    Path(__file__).parents[1],
    *(Path(sysconfig.get_paths()[kind]) for kind in ("stdlib", "purelib", "platlib")),
)
"""Folders of this package, of Python and of what is installed."""


def place_of_failure(error: BaseException) -> str:
    """Tell in a few words what failed in a user's code, and in which of its lines.

    Example:
        >>> place_of_failure(ValueError("no number"))
        'ValueError: no number'
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    where = f" in {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    cause = str(error).partition("\n")[0]
    return f"{type(error).__name__}{where}{': ' if cause else ''}{cause}"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out, which is no fault of the code that asked for it.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError())
        (True, False)
    """
    # torch has one class for accelerators, and for the CPU only a RuntimeError with these words
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _is_users(file: str) -> bool:
    path = Path(file)
    return path.is_file() and not any(path.is_relative_to(folder) for folder in NOT_THE_USERS)
