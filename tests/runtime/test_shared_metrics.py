"""Metrics of several processes: sums outlive a process, its gauges and its figures do not."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families

from gateway.runtime import shared_metrics
from gateway.runtime.shared_metrics import AllProcesses, Busy

#: No process has it: above the kernel's largest.
DEAD = 2**22 + 7


def write(directory: Path, file: str, values: Mapping[tuple[str, str], float]) -> None:
    """Write a file as the library does; names are of metric and sample."""
    made = MmapedDict(str(directory / file))  # type: ignore[no-untyped-call]  # untyped in the library
    for (metric, sample), value in values.items():
        le = {"le": sample.rpartition("@")[2]} if "@" in sample else {}
        key = mmap_key(metric, sample.partition("@")[0], [*le], [*le.values()], "help")
        made.write_value(key, value, 1.0)  # type: ignore[no-untyped-call]  # untyped in the library
    made.close()  # type: ignore[no-untyped-call]  # untyped in the library


def a_process(directory: Path, pid: int, *, count: float, gauge: float) -> None:
    write(directory, f"counter_{pid}.db", {("orders", "orders_total"): count})
    write(directory, f"gauge_livesum_{pid}.db", {("connections", "connections"): gauge})
    write(directory, f"gauge_mostrecent_{pid}.db", {("entries", "entries"): gauge})
    buckets = {("s", "s_bucket@1.0"): count, ("s", "s_bucket@+Inf"): 1.0, ("s", "s_sum"): 2 * count}
    write(directory, f"histogram_{pid}.db", buckets)


def read(directory: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(AllProcesses(directory))
    return {
        sample.name
        + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def totals(directory: Path) -> dict[str, float]:
    names = ("orders_total", "s_bucket le=1.0", "s_bucket le=+Inf", "s_count", "s_sum")
    found = read(directory)
    return {name: found[name] for name in names}


def test_what_an_ended_process_counted_stays_and_its_files_go(tmp_path: Path) -> None:
    for n, pid in enumerate((DEAD, DEAD + 1, os.getpid()), start=1):
        a_process(tmp_path, pid, count=10.0 * n, gauge=n)
    before = totals(tmp_path)
    assert before == {
        "orders_total": 60.0, "s_bucket le=1.0": 60.0, "s_bucket le=+Inf": 63.0, "s_count": 63.0,
        "s_sum": 120.0,
    }  # fmt: skip
    assert read(tmp_path)["connections"] == 6.0
    for pid in (DEAD, DEAD + 1):
        shared_metrics.take_over(tmp_path, pid)
        assert totals(tmp_path) == before
        assert not list(tmp_path.glob(f"*_{pid}.db"))
    assert read(tmp_path)["connections"] == 3.0
    assert read(tmp_path)["entries"] == 3.0
    files = len(list(tmp_path.glob("*.db")))
    assert files == 4 + 2, "however many processes ended"


def test_every_live_process_has_its_figures(tmp_path: Path) -> None:
    a_process(tmp_path, os.getpid(), count=1, gauge=1)
    a_process(tmp_path, os.getppid(), count=1, gauge=1)
    a_process(tmp_path, DEAD, count=1, gauge=1)
    found = read(tmp_path)
    for name in (
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_max_fds", "process_start_time_seconds", "process_virtual_memory_bytes",
    ):  # fmt: skip
        assert found[f"{name} pid={os.getpid()}"] > 0
        assert f"{name} pid={os.getppid()}" in found
        assert f"{name} pid={DEAD}" not in found
    assert any(name.startswith("python_info") for name in found)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x01\x00\x00\x7f" + b"a" * 64])
def test_a_file_that_a_process_left_broken_keeps_nothing_from_being_counted(
    tmp_path: Path, content: bytes
) -> None:
    a_process(tmp_path, DEAD, count=5, gauge=1)
    a_process(tmp_path, os.getpid(), count=7, gauge=1)
    (tmp_path / f"summary_{DEAD}.db").write_bytes(content)
    shared_metrics.take_over(tmp_path, DEAD)
    assert totals(tmp_path)["orders_total"] == 12.0


def test_a_file_that_is_being_made_is_skipped(tmp_path: Path) -> None:
    a_process(tmp_path, os.getpid(), count=7, gauge=1)
    (tmp_path / "counter_1.db").touch()
    assert totals(tmp_path)["orders_total"] == 7.0


def test_while_files_are_taken_over_a_reader_does_not_wait_for_long(tmp_path: Path) -> None:
    a_process(tmp_path, os.getpid(), count=7, gauge=1)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(Busy):
        read(tmp_path)
    os.close(descriptor)
    assert totals(tmp_path)["orders_total"] == 7.0
