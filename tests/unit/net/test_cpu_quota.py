"""How many workers a container feeds."""

import os
from pathlib import Path

import pytest

from voicefleet.net.cpu_quota import usable_cores, usable_cpu

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "cpu", "cores"),
    [("max 100000", CORES, CORES), ("50000 100000", 0.5, 1), ("150000 100000", min(1.5, CORES), min(2, CORES))],
)
def test_a_quota_of_a_part_of_a_core_feeds_a_process_that_has_only_that_part(
    tmp_path: Path, limit: str, cpu: float, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert usable_cpu(tmp_path) == pytest.approx(cpu)
    assert usable_cores(tmp_path) == cores
