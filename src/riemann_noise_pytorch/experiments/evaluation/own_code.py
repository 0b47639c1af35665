"""Code of the user's own: imported from a file or by name, and what fails in it told in one line."""

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from riemann_noise_pytorch.errors import InputError

NOT_THE_USERS = (
    Path(__file__).parents[2],
    *(Path(sysconfig.get_paths()[kind]) for kind in ("stdlib", "purelib", "platlib")),
)
"""Folders of this package, of Python and of what is installed."""


def imported(home: str, given: str) -> ModuleType:
    """Import a user's file or module.

    Modules in the folder of a file, or in the current one, can be imported meanwhile; they do not hide
    Python's own of the same name.

    Args:
        home: Path of a file of Python, or the dotted name of a module.
        given: What the user wrote, for messages.

    Raises:
        InputError: There is none, or it fails; the message names the line.
    """
    place = Path(home)
    try:
        if place.suffix != ".py":
            with _importable(Path.cwd()):
                return importlib.import_module(home)
        if not place.is_file():
            raise InputError(f"there is no file {home}; check the path")
        return _executed(place.resolve())
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{given} cannot be imported ({place_of_failure(error)}); mend it, or check the name"
        ) from error


def _executed(file: Path) -> ModuleType:
    """Run a file as a module, under a name that no other module can have."""
    name = f"{file.stem} of {file.parent}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importable(file.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Within the block, modules in a folder can be imported: before installed ones, after Python's own."""
    entry = str(folder)
    installed = [Path(path).name in ("site-packages", "dist-packages") for path in sys.path]
    sys.path.insert(installed.index(True) if True in installed else len(sys.path), entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


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


def _is_users(file: str) -> bool:
    path = Path(file)
    return path.is_file() and not any(path.is_relative_to(folder) for folder in NOT_THE_USERS)
