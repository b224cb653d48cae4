"""How many processes can run at once here: the cores of the affinity mask, less what the container's quota leaves."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Whole cores that this container may use, at least one. A quota of 1.5 cores feeds two processes."""
    return max(1, -int(-usable_cpu(cgroup) // 1))


def usable_cpu(cgroup: Path = _CGROUP) -> float:
    """Processor seconds a second that this container may use: 1.5 of two cores, say."""
    cores = float(len(os.sched_getaffinity(0)))
    quota = _quota(cgroup)
    return cores if quota is None else min(cores, quota)


def _quota(cgroup: Path) -> float | None:
    """Cores that the quota allows: of cgroup v2 (`cpu.max`) or v1 (`cpu/cpu.cfs_*`); None without a quota."""
    try:
        limit, _, period = (cgroup / "cpu.max").read_text().partition(" ")
    except OSError:
        try:
            limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    limit = limit.strip()
    if limit == "max" or limit.startswith("-"):
        return None
    return int(limit) / int(period)
