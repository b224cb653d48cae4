"""Memory that was reserved is used without the kernel, and stays when it is free again."""

import os
import platform
import subprocess
import sys

import pytest

from voicefleet.services.transceiver.worker_start import ALLOCATOR

TRIAL = """
import resource
from voicefleet.net.memory_reserve import reserve
MIB = 1 << 20
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
began = resident()
reserved = reserve({octets})
grown, before = resident() - began, faults()
used = [bytes(range(256)) * 256 for _ in range(24 * 16)]
taken = faults() - before
del used
print(reserved, grown, taken, resident() - began)
"""
MIB = 1 << 20


def trial(octets: int) -> list[int]:
    """Octets reserved and resident, faults while 24 MiB are used, octets resident when they are free again."""
    ran = subprocess.run(
        (sys.executable, "-c", TRIAL.format(octets=octets)),
        env={**os.environ, **ALLOCATOR},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in ran.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a matter of glibc")
def test_what_is_reserved_is_used_without_the_kernel_and_stays() -> None:
    reserved, grown, taken, left = trial(32 * MIB)
    assert reserved >= 32 * MIB, "Linux before 5.14 knows no way"
    assert grown > 31 * MIB
    assert taken < 24 * MIB // 4096 // 20, "faults, of the 6,000 that it would have taken in small pages"
    assert left > 31 * MIB
