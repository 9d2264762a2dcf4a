"""What a process may use: of control groups of both versions, and without any."""

import os
from pathlib import Path

import pytest

from gateway.runtime import machine

CPUS = len(os.sched_getaffinity(0))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    made = tmp_path / "proc"
    made.mkdir()
    return made


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    made = tmp_path / "cgroup"
    made.mkdir()
    return made


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_tightest_limit_around_counts(proc: Path, groups: Path) -> None:
    put(proc / "cgroup", "0::/system/pod/box\n")
    put(groups / "system/pod/box/cpu.max", "max 100000\n")
    put(groups / "system/pod/cpu.max", "25000 100000\n")
    put(groups / "system/cpu.max", "50000 100000\n")
    put(groups / "system/pod/box/memory.max", "max\n")
    put(groups / "system/memory.max", "1048576\n")
    assert machine.cpu_cores(proc=proc, groups=groups) == 0.25
    assert machine.memory_bytes_max(proc=proc, groups=groups) == 1048576


def test_version_1_has_a_tree_for_each(proc: Path, groups: Path) -> None:
    put(proc / "cgroup", "4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n")
    put(groups / "cpu/box/cpu.cfs_quota_us", "2000\n")
    put(groups / "cpu/box/cpu.cfs_period_us", "8000\n")
    put(groups / "cpu/cpu.cfs_quota_us", "-1\n")
    put(groups / "cpu/cpu.cfs_period_us", "100000\n")
    put(groups / "memory/box/memory.limit_in_bytes", "2097152\n")
    assert machine.cpu_cores(proc=proc, groups=groups) == 0.25
    assert machine.memory_bytes_max(proc=proc, groups=groups) == 2097152


@pytest.mark.parametrize("text", ["", "nonsense", "0::/gone", "0::/../..", "\xff"])
def test_where_nothing_can_be_read_the_machine_is_the_limit(
    proc: Path, groups: Path, text: str
) -> None:
    put(proc / "cgroup", text)
    put(groups / "cpu.max", "max 100000")
    assert machine.cpu_cores(proc=proc, groups=groups) == CPUS
    assert machine.memory_bytes_max(proc=proc, groups=groups) > 1 << 26


def test_what_is_in_use() -> None:
    before = machine.descriptors()
    with Path("/dev/null").open() as _one, Path("/dev/null").open() as _other:
        assert machine.descriptors() == before + 2
    assert before < machine.descriptors_max()
    assert 1 << 22 < machine.memory_bytes() < machine.memory_bytes_max()


def test_a_machine_without_proc(tmp_path: Path) -> None:
    assert machine.memory_bytes(proc=tmp_path) == 0
    assert machine.descriptors(proc=tmp_path / "none") == 0
