"""Writing that never leaves a half-written file: write beside, flush to the disk, rename."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from riemann_noise_pytorch.errors import InputError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, on failure it goes.

    Args:
        path: The file to write; its folder is made if missing.

    Yields:
        An existing, empty file in the same folder, to be written by the caller.

    Raises:
        InputError: The folder cannot be written, or the disk is full. The old file, if any, is untouched.
    """
    target = Path(path)
    with _plain_words(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
        os.close(handle)
    temporary = Path(name)
    try:
        with _plain_words(target):
            yield temporary
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
            _flush_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Append one line to a text file in a single write.

    Args:
        path: The file; its folder is made if missing.
        line: The text, without its newline.

    Raises:
        InputError: The file cannot be written.
    """
    target = Path(path)
    with _plain_words(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


@contextlib.contextmanager
def _plain_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot write {path}: {reason}; free space there, or choose another place"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can flush a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
