"""What this process may use of its machine, and what it uses: Linux, control groups included.

A container's limits count, not the host's: a process that plans with the host's would be killed
before anything was shed. Where nothing can be read, no limit is assumed.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc/self")
_GROUPS = Path("/sys/fs/cgroup")
_PAGE_BYTES = resource.getpagesize()


def cpu_cores(*, proc: Path = _PROC, groups: Path = _GROUPS) -> float:
    """Return the CPU cores that the process may use at once, by affinity and quota."""
    cores = float(len(os.sched_getaffinity(0)))
    for group in _groups("cpu", proc, groups):
        # cpu.max is version 2's, the other two are version 1's.
        quota, _, period = _read(group / "cpu.max").partition(" ")
        quota = quota or _read(group / "cpu.cfs_quota_us")
        period = period or _read(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, int(quota) / int(period))
    return cores


def memory_bytes_max(*, proc: Path = _PROC, groups: Path = _GROUPS) -> int:
    """Return the bytes of memory that the process may use."""
    limits = [os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES]
    for group in _groups("memory", proc, groups):
        text = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def memory_bytes(*, proc: Path = _PROC) -> int:
    """Return the bytes of memory that the process has in use."""
    resident = _read(proc / "statm").split(" ")[1:2]
    return int(resident[0]) * _PAGE_BYTES if resident else 0


def descriptors(*, proc: Path = _PROC) -> int:
    """Return the number of open file descriptors."""
    try:
        return sum(1 for _ in (proc / "fd").iterdir())
    except OSError:
        return 0


def descriptors_max() -> int:
    """Return how many there may be."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _groups(controller: str, proc: Path, groups: Path) -> Iterator[Path]:
    """Yield the control group of the process for this, and every one around it.

    Of both versions (man 7 cgroups): ``0::/path`` is version 2's, ``4:memory:/path`` version 1's.
    """
    for line in _read(proc / "cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        root = groups if hierarchy == "0" else groups / controller
        if hierarchy != "0" and controller not in names.split(","):
            continue
        inner = root / path.lstrip("/")
        # In a container the path may be the host's, and only the root is there to be read.
        yield from (group for group in (inner, *inner.parents) if group.is_relative_to(root))


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
