"""Named files to read from: a folder, searched recursively, or a checked ZIP archive."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from riemann_noise_pytorch.data.archives import MAX_MEMBER_BYTES, SafeArchive
from riemann_noise_pytorch.errors import InputError


class FileSource(Protocol):
    """Files by relative name, with forward slashes."""

    path: Path
    names: tuple[str, ...]

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open one file for reading."""

    def read(self, name: str) -> bytes:
        """Read one file whole."""

    def describe(self, name: str) -> str:
        """Say where a file is, for errors."""


class FolderFiles:
    """The files of a folder and of the folders in it, links to folders followed once.

    Args:
        path: The folder.

    Raises:
        InputError: The folder, or one in it, cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.names = tuple(self._walk())

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open one file for reading.

        Args:
            name: One of ``names``.

        Returns:
            The open file.

        Raises:
            OSError: It cannot be read, or is larger than an archive's largest member.
        """
        place = self.path / name
        if place.stat().st_size > MAX_MEMBER_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return place.open("rb")

    def read(self, name: str) -> bytes:
        """Read one file whole.

        Args:
            name: One of ``names``.

        Returns:
            Its content.

        Raises:
            OSError: As :meth:`open`.
        """
        with self.open(name) as stream:
            return stream.read()

    def describe(self, name: str) -> str:
        """Say where a file is, for errors.

        Args:
            name: One of ``names``.

        Returns:
            Its path.
        """
        return str(self.path / name)

    def _walk(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        for folder, below, files in os.walk(self.path, onerror=_refuse, followlinks=True):
            below[:] = [name for name in sorted(below) if _first_visit(Path(folder, name), seen)]
            for file in files:
                place = Path(folder, file)
                if place.is_file():  # a pipe or a socket would block the reader for ever
                    yield place.relative_to(self.path).as_posix()


def locate(data: str | os.PathLike[str]) -> Path | None:
    """Find an existing folder or file.

    Args:
        data: Its path; ``~`` stands for the home folder.

    Returns:
        The path, or None where nothing is there.
    """
    try:
        path = Path(data).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def open_source(path: str | os.PathLike[str]) -> FileSource:
    """Open a folder or a ZIP archive for reading.

    Args:
        path: The folder or the archive.

    Returns:
        Its files.

    Raises:
        InputError: Nothing is there, it cannot be read, or the archive is refused.
    """
    place = locate(path)
    if place is None:
        raise InputError(f"there is no folder or ZIP archive at {os.fspath(path)!r}; check the path")
    return FolderFiles(place) if place.is_dir() else SafeArchive(place)


def _first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    status = folder.stat()
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _refuse(error: OSError) -> None:
    raise InputError(
        f"cannot read the folder {error.filename}: {error.strerror}; check its permissions"
    ) from error
