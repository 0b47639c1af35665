"""Keep big buffers: tell glibc's allocator not to hand them back to the system after every step.

Training frees and asks for the same large buffers over and over. By default glibc returns each to the
system, which must clear it page by page when it is asked for again; with the thresholds below the buffers
stay in the process, at the price of a larger peak.

References:
    The GNU C Library Reference Manual, Malloc Tunable Parameters (M_MMAP_THRESHOLD and its companions).
"""

import ctypes
import os
import sys
from collections.abc import Callable

OFF = "RIEMANN_NOISE_NO_MALLOC_TUNING"
"""Set this environment variable to anything but 0 to leave the allocator alone."""

MIB = 1 << 20
SETTINGS = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 1024 * MIB),
    "MALLOC_TRIM_THRESHOLD_": (-1, 1024 * MIB),
    "MALLOC_TOP_PAD_": (-2, 64 * MIB),
}
"""By environment variable: the number of the parameter in ``malloc.h``, and its value in bytes."""


def keep_big_buffers() -> bool:
    """Set the thresholds for this process, and by the environment for those that it will start.

    Nothing is done where the C library is not glibc, where the user has set one of the variables (or glibc's
    own ``GLIBC_TUNABLES``), or where ``RIEMANN_NOISE_NO_MALLOC_TUNING`` is set.

    Returns:
        Whether the thresholds were set.
    """
    if os.environ.get(OFF, "0") != "0" or _set_by_user():
        return False
    mallopt = _mallopt()
    if mallopt is None or not all(mallopt(number, value) for number, value in SETTINGS.values()):
        return False
    os.environ.update({name: str(value) for name, (_, value) in SETTINGS.items()})
    return True


def _set_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or any(name in os.environ for name in SETTINGS)


def _mallopt() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    mallopt = library.mallopt
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return mallopt
