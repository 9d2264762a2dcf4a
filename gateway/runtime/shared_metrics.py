"""Metrics of several processes in one directory, as one answer.

Each process has files of its own there (``counter_PID.db``, ``gauge_livesum_PID.db``, …). The
library adds them up, but knows nothing of the processes themselves, and leaves the files of a
process that ended for ever. Here each live process gets its ``process_*`` with a label ``pid``,
and what an ended one counted is moved to files of no process, so that totals never fall.
"""

import fcntl
import gc
import os
import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_FILE = re.compile(r"(?P<kind>[a-z]+)(?:_[a-z]+)?_(?P<pid>\d+)\.db")
#: Kinds whose values are added up, also those of processes that ended.
_TOTALS = ("counter", "histogram", "summary")
#: How often a reader tries to get the lock, and the seconds between two tries. Taking over takes
#: about a millisecond; a reader has an event loop to run.
_TRIES = 5
_TRY_S = 0.001


class Busy(Exception):
    """The files are being changed: repeat what was shown before."""


class AllProcesses(Collector):
    """The metrics of all processes that write to a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def describe(self) -> Iterator[Metric]:
        """Return nothing: what there is, the files say."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return the sums of all, and ``process_*`` of each live process. Raises ``Busy``."""
        with _reading(self._directory):
            # A file that is being made is empty for a moment.
            files = [path for path in self._directory.glob("*.db") if path.stat().st_size]
            merged = MultiProcessCollector.merge(map(str, files))  # type: ignore[no-untyped-call]  # untyped in the library
        yield from merged
        yield from processes({pid for path in files if (pid := _pid(path)) is not None})
        yield from PlatformCollector(registry=None).collect()


def processes(pids: set[int]) -> Iterator[Metric]:
    """Return ``process_*`` of these processes, with the label ``pid``; of an ended one nothing."""
    families: dict[str, Metric] = {}
    for pid in sorted(pids):
        for found in ProcessCollector(pid=partial(str, pid), registry=None).collect():
            family = families.get(found.name)
            if family is None:
                family = families[found.name] = Metric(found.name, found.documentation, found.type)
            for sample in found.samples:
                family.add_sample(sample.name, {**sample.labels, "pid": str(pid)}, sample.value)
    yield from families.values()


def take_over(directory: Path, pid: int) -> None:
    """Add what an ended process counted to the totals, and remove its files and its gauges.

    Once per process, by the one process that supervises the others. A file that the process left
    broken is removed without being counted. Blocks for about a millisecond.
    """
    with _locked(directory, fcntl.LOCK_EX):
        for path in directory.glob(f"*_{pid}.db"):
            match = _FILE.fullmatch(path.name)
            if match is not None and match["kind"] in _TOTALS:
                _add(path, directory / f"{match['kind']}_ended.db")
            path.unlink()


def _add(path: Path, total: Path) -> None:
    try:
        found = list(MmapedDict.read_all_values_from_file(str(path)))  # type: ignore[no-untyped-call]  # untyped in the library
    except (RuntimeError, struct.error, ValueError):
        return
    into = MmapedDict(str(total))  # type: ignore[no-untyped-call]  # untyped in the library
    try:
        for key, value, *_ in found:
            into.write_value(key, into.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]  # untyped in the library
    finally:
        into.close()  # type: ignore[no-untyped-call]  # untyped in the library


def _pid(path: Path) -> int | None:
    match = _FILE.fullmatch(path.name)
    return None if match is None else int(match["pid"])


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    for _ in range(_TRIES):
        try:
            with _locked(directory, fcntl.LOCK_SH | fcntl.LOCK_NB):
                yield
                return
        except BlockingIOError:
            time.sleep(_TRY_S)
    raise Busy


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


class GarbageCollections:
    """``python_gc_*`` as the library has them for one process, summed over all.

    Sampled, not counted in a callback of the collector: it may run while a metric holds its lock.
    """

    def __init__(self) -> None:
        # In no registry: the one of a single process has these names already.
        self._counters = {
            "collected": _counter("objects_collected", "Objects collected during gc"),
            "uncollectable": _counter("objects_uncollectable", "Uncollectable objects found in gc"),
            "collections": _counter("collections", "Times that a generation was collected"),
        }
        self._counted = [dict.fromkeys(self._counters, 0) for _ in gc.get_stats()]

    def publish(self) -> None:
        """Add what was collected since the last call."""
        for generation, (now, before) in enumerate(zip(gc.get_stats(), self._counted, strict=True)):
            for what, counter in self._counters.items():
                if grown := now[what] - before[what]:
                    counter.labels(str(generation)).inc(grown)
                    before[what] = now[what]


def _counter(name: str, documentation: str) -> Counter:
    return Counter(f"python_gc_{name}", documentation, ["generation"], registry=None)
