"""glibc keeps big buffers when asked to, and is left alone where the user says so."""

import os
import platform
import subprocess
import sys

import pytest

from riemann_noise_pytorch.cli.allocator import OFF, SETTINGS

GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
FAULTS = """
import ctypes, resource
from riemann_noise_pytorch.cli.allocator import keep_big_buffers

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(keep_big_buffers())
bytearray(64 << 20)
print(faults())
"""


def answers(**environment: str) -> list[str]:
    ours = {OFF, *SETTINGS, "GLIBC_TUNABLES"}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-c", FAULTS]
    result = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_a_big_buffer_is_used_again_without_page_faults() -> None:
    was_set, faults = answers()
    assert was_set == "True"
    assert int(faults) < 100  # 64 MiB are 16384 pages of 4 KiB


@pytest.mark.parametrize(
    "environment",
    [{OFF: "1"}, {"MALLOC_TRIM_THRESHOLD_": "1000000"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}],
    ids=lambda environment: next(iter(environment)),
)
def test_the_users_own_settings_win(environment: dict[str, str]) -> None:
    assert answers(**environment)[0] == "False"
