"""Reading ZIP archives that nobody has vouched for.

Nothing is ever unpacked to the disk. Before a first byte of a member is read, the whole table of contents
is checked: names that would leave the archive's folder, links and devices, encryption, exotic compression,
sizes that no real image set has, and members that share their bytes are refused. The sizes in that table may
be lies; a read stops at the stated size, and a checksum that does not fit is an error.
"""

import contextlib
import io
import os
import re
import stat
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from riemann_noise_pytorch.errors import InputError

MIB: Final = 2**20
MAX_MEMBER_BYTES: Final = 512 * MIB
"""No single member may unpack to more than this."""
MAX_MEMBER_RATIO: Final = 200
"""A member above 1 MiB may not unpack to more than this many times its packed size (deflate reaches 1032)."""
MAX_TOTAL_RATIO: Final = 20
"""All members, if above 64 MiB, may not unpack to more than this many times the archive's own size."""

_RATIO_MATTERS_BYTES: Final = MIB
_TOTAL_MATTERS_BYTES: Final = 64 * MIB
_METHODS: Final = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # bounded output; Python's bz2 and lzma readers are not
_ENCRYPTED_FLAGS: Final = 0x1 | 0x40
_REPACK = "repack the images with plain relative names into an ordinary ZIP"


class SafeArchive:
    """A checked ZIP archive, readable from several threads and from forked processes.

    Args:
        path: The archive.

    Raises:
        InputError: It cannot be read, is no ZIP archive, or holds a member that is refused.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._reopen()
        infos = self._zip.infolist()
        for info in infos:
            fault = member_fault(info)
            if fault:
                self.close()
                raise InputError(f"{self.path} is refused: member {info.orig_filename!r} {fault}; {_REPACK}")
        fault = archive_fault(infos, self.path.stat().st_size)
        if fault:
            self.close()
            raise InputError(f"{self.path} is refused: {fault}; {_REPACK}")
        self._members = {plain_name(info.filename): info for info in infos if not info.is_dir()}
        self.names = tuple(self._members)

    def __repr__(self) -> str:
        return f"SafeArchive({str(self.path)!r}, {len(self.names)} members)"

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open one member for reading; other threads wait until it is closed.

        Args:
            name: One of ``names``.

        Yields:
            A binary stream that ends at the member's stated size.

        Raises:
            KeyError: There is no such member.
            zipfile.BadZipFile: The member is damaged; also ``zlib.error``, ``EOFError`` or ``OSError``.
        """
        if os.getpid() != self._process:  # a fork shares the file position, and a lock may be held for ever
            self._reopen()
        with self._lock, self._zip.open(self._members[name].filename) as stream:
            yield io.BufferedReader(_BoundedReads(stream))

    def read(self, name: str) -> bytes:
        """Read one member whole.

        Args:
            name: One of ``names``.

        Returns:
            Its content, at most ``MAX_MEMBER_BYTES``.

        Raises:
            zipfile.BadZipFile: The member is damaged; also what :meth:`open` raises.
        """
        with self.open(name) as stream:
            content = stream.read()
        if len(content) != self._members[name].file_size:
            raise zipfile.BadZipFile("it is shorter than the archive says")
        return content

    def describe(self, name: str) -> str:
        """Say where a member is, for errors.

        Args:
            name: One of ``names``.

        Returns:
            The archive's path, a colon, and the name.
        """
        return f"{self.path}:{name}"

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _reopen(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        try:
            self._zip = zipfile.ZipFile(self.path)
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}; check the path") from error
        except Exception as error:  # zipfile raises many kinds on damaged tables of contents
            raise InputError(
                f"{self.path} is not a ZIP archive, or is damaged ({error}); give a folder or a ZIP of images"
            ) from error


def member_fault(info: zipfile.ZipInfo) -> str | None:
    """Say why a member of an archive must not be read.

    Args:
        info: Its entry in the table of contents.

    Returns:
        The reason, as the rest of a sentence, or None where there is no fault.

    Example:
        >>> member_fault(zipfile.ZipInfo("../../etc/passwd"))
        'would leave its folder'
    """
    kind = stat.S_IFMT(info.external_attr >> 16)
    if _leaves_folder(info.orig_filename):
        return "would leave its folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if info.flag_bits & _ENCRYPTED_FLAGS:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return "is compressed by a method other than deflate"
    return _size_fault(info)


def archive_fault(infos: Sequence[zipfile.ZipInfo], archive_bytes: int) -> str | None:
    """Say why an archive as a whole must not be read.

    Args:
        infos: Its table of contents.
        archive_bytes: The size of the archive's file.

    Returns:
        The reason, as a sentence, or None where there is no fault.
    """
    names = Counter(plain_name(info.filename) for info in infos)
    repeated = next((name for name, count in names.items() if count > 1), None)
    if repeated is not None:
        return f"it holds {repeated!r} more than once"
    if sum(info.compress_size for info in infos) > archive_bytes:
        return "its members claim more bytes than it has, so they overlap"
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(_TOTAL_MATTERS_BYTES, MAX_TOTAL_RATIO * archive_bytes):
        return f"it would unpack to {unpacked // MIB} MiB, {unpacked // max(archive_bytes, 1)} times its size"
    return None


def plain_name(name: str) -> str:
    r"""Write a member's name in one way: forward slashes, no "./" and no doubled slashes.

    Args:
        name: The name in the archive.

    Returns:
        The name by which it is listed.

    Example:
        >>> plain_name("./cats\\0.png")
        'cats/0.png'
    """
    return str(PurePosixPath(name.replace("\\", "/")))


class _BoundedReads(io.RawIOBase):
    """A member of an archive, unpacked no faster than it is read.

    ``ZipExtFile.read()`` without a length unpacks up to 2 GiB before it cuts down to the stated size.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _leaves_folder(name: str) -> bool:
    plain = name.replace("\\", "/")
    return (
        not plain.strip("/")
        or plain.startswith("/")
        or re.match(r"[A-Za-z]:", plain) is not None
        or any(ord(character) < 32 for character in plain)
        or ".." in PurePosixPath(plain).parts
    )


def _size_fault(info: zipfile.ZipInfo) -> str | None:
    unpacked, packed = info.file_size, info.compress_size
    if unpacked > MAX_MEMBER_BYTES:
        return f"would unpack to {unpacked // MIB} MiB"
    if info.compress_type == zipfile.ZIP_STORED and unpacked != packed:
        return "states two different sizes"
    if unpacked > _RATIO_MATTERS_BYTES and unpacked > MAX_MEMBER_RATIO * packed:
        return f"would unpack to {unpacked // MIB} MiB, {unpacked // max(packed, 1)} times its packed size"
    return None
