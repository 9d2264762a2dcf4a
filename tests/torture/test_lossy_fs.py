"""The lossy disk keeps what was synced, and nothing of what was not."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.fault import Impossible
from tests.torture.faults_power import LossyDisk


class Lent:
    """A directory on a lossy disk."""

    def __init__(self, disk: LossyDisk, path: Path) -> None:
        self._disk = disk
        self.path = path

    def lose_power(self) -> None:
        """What was not synced is gone."""
        self._disk.cut_power()
        self._disk.power_up()


@pytest.fixture
def lent(tmp_path: Path) -> Iterator[Lent]:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "before").write_bytes(b"before")
    disk = LossyDisk(directory)
    try:
        disk.lay()
    except Impossible as reason:
        disk.remove()
        pytest.skip(str(reason))
    yield Lent(disk, directory)
    disk.remove()


def test_what_is_written_is_read_back_at_once(lent: Lent) -> None:
    (lent.path / "file").write_bytes(b"x" * 300_000)
    assert (lent.path / "file").read_bytes() == b"x" * 300_000
    assert (lent.path / "before").read_bytes() == b"before"
    assert sorted(os.listdir(lent.path)) == ["before", "file"]


def test_what_was_not_synced_is_gone(lent: Lent) -> None:
    with (lent.path / "log").open("wb", buffering=0) as log:
        log.write(b"synced")
        os.fsync(log.fileno())
        log.write(b" and more")
    (lent.path / "other").write_bytes(b"other")
    lent.lose_power()
    assert (lent.path / "log").read_bytes() == b"synced"
    assert (lent.path / "other").read_bytes() == b""
    assert (lent.path / "before").read_bytes() == b"before"


@pytest.mark.parametrize("sync", [os.fsync, os.fdatasync])
def test_appending_goes_on_after_a_loss(lent: Lent, sync: Callable[[int], None]) -> None:
    for line in (b"one\n", b"two\n"):
        with (lent.path / "log").open("ab", buffering=0) as log:
            log.write(line)
            sync(log.fileno())
            log.write(b"lost")
        lent.lose_power()
    assert (lent.path / "log").read_bytes() == b"one\ntwo\n"


def test_what_was_cut_off_or_overwritten_counts_once_it_is_synced(lent: Lent) -> None:
    with (lent.path / "before").open("r+b", buffering=0) as file:
        file.truncate(3)
        file.write(b"BE")
        os.fsync(file.fileno())
        file.truncate(0)
    lent.lose_power()
    assert (lent.path / "before").read_bytes() == b"BEf"


def test_names_count_at_once(lent: Lent) -> None:
    (lent.path / "sub").mkdir()
    (lent.path / "before").rename(lent.path / "sub" / "after")
    with (lent.path / "old").open("wb", buffering=0) as old:
        (lent.path / "old").unlink()
        old.write(b"still open")
        os.fsync(old.fileno())
    lent.lose_power()
    assert os.listdir(lent.path) == ["sub"]
    assert (lent.path / "sub" / "after").read_bytes() == b"before"
