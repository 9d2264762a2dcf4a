"""CPU time of processes, read from ``/proc``.

The benchmark and everything it measures is one tree of processes, so a server's share is found by
its name in that tree, and the rest of the machine's CPU time belongs to other processes.
"""

import os
from pathlib import Path
from typing import NamedTuple

from loadtest.errors import CannotRun

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
#: The server by process name; everything below such a process counts with it.
SERVERS = {"postgres": "postgres", "valkey-server": "valkey", "redis-server": "valkey"}


class Process(NamedTuple):
    """One line of ``/proc/<pid>/stat``. ``cpu_s`` includes children that have ended."""

    pid: int
    parent: int
    name: str
    cpu_s: float


class Usage(NamedTuple):
    """CPU seconds so far: of the measured service, of each kind of server, of the machine."""

    service_s: float
    postgres_s: float
    valkey_s: float
    bench_s: float
    machine_s: float

    def since(self, before: "Usage") -> "Usage":
        """Return what was used after ``before``."""
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def others_s(self) -> float:
        """CPU seconds of processes outside the benchmark."""
        return max(0.0, self.machine_s - self.bench_s)


def require() -> None:
    """Raise ``CannotRun`` without ``/proc``, from which CPU times are read."""
    if not Path("/proc/self/stat").exists():
        raise CannotRun("CPU times are read from /proc: the benchmark needs Linux")


def usage(service_pid: int) -> Usage:
    """Read the CPU time of every process of this benchmark."""
    processes = _processes()
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)

    def tree_s(pid: int) -> float:
        process = processes.get(pid)
        own = process.cpu_s if process else 0.0
        return own + sum(tree_s(child) for child in children.get(pid, ()))

    servers = {"postgres": 0.0, "valkey": 0.0}
    for child in _below(os.getpid(), children):
        if kind := SERVERS.get(processes[child].name):
            servers[kind] += processes[child].cpu_s
    return Usage(
        service_s=tree_s(service_pid),
        postgres_s=servers["postgres"],
        valkey_s=servers["valkey"],
        bench_s=tree_s(os.getpid()),
        machine_s=_machine_s(),
    )


def _below(pid: int, children: dict[int, list[int]]) -> list[int]:
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))
    return found


def _processes() -> dict[int, Process]:
    found: dict[int, Process] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                process = _parse((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            found[process.pid] = process
    return found


def _parse(stat: str) -> Process:
    # The name is in parentheses and may contain spaces and parentheses itself.
    pid, rest = stat.split(" (", 1)
    name, rest = rest.rsplit(") ", 1)
    fields = rest.split()
    ticks = sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return Process(int(pid), int(fields[1]), name, ticks * _TICK_S)


def _machine_s() -> float:
    user, nice, system, _idle, _iowait, irq, softirq = (
        int(field) for field in Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
    )
    return (user + nice + system + irq + softirq) * _TICK_S
