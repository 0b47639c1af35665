"""Code of the user's own: imported from a file or by name, and what fails in it told in one line."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from riemann_noise_pytorch.errors import InputError
from riemann_noise_pytorch.noise.failures import place_of_failure


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
