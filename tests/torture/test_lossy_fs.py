"""The lossy disk has what was synced after a power cut, and nothing else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.fault import Impossible
from tests.torture.faults_power import LossyDisk


class LossyDirectory:
    """A directory on a lossy disk."""

    def __init__(self, disk: LossyDisk, path: Path) -> None:
        self._disk = disk
        self.path = path

    def lose_power(self) -> None:
        """Cut the power and restore it: unsynced data is lost."""
        self._disk.cut_power()
        self._disk.power_up()


@pytest.fixture
def lossy(tmp_path: Path) -> Iterator[LossyDirectory]:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "before").write_bytes(b"before")
    disk = LossyDisk(directory)
    try:
        disk.lay()
    except Impossible as reason:
        disk.remove()
        pytest.skip(str(reason))
    yield LossyDirectory(disk, directory)
    disk.remove()


def test_a_write_is_visible_at_once(lossy: LossyDirectory) -> None:
    (lossy.path / "file").write_bytes(b"x" * 300_000)
    assert (lossy.path / "file").read_bytes() == b"x" * 300_000
    assert (lossy.path / "before").read_bytes() == b"before"
    assert sorted(os.listdir(lossy.path)) == ["before", "file"]


def test_unsynced_data_is_lost(lossy: LossyDirectory) -> None:
    with (lossy.path / "log").open("wb", buffering=0) as log:
        log.write(b"synced")
        os.fsync(log.fileno())
        log.write(b" and more")
    (lossy.path / "other").write_bytes(b"other")
    lossy.lose_power()
    assert (lossy.path / "log").read_bytes() == b"synced"
    assert (lossy.path / "other").read_bytes() == b""
    assert (lossy.path / "before").read_bytes() == b"before"


@pytest.mark.parametrize("sync", [os.fsync, os.fdatasync])
def test_appending_works_after_a_loss(lossy: LossyDirectory, sync: Callable[[int], None]) -> None:
    for line in (b"one\n", b"two\n"):
        with (lossy.path / "log").open("ab", buffering=0) as log:
            log.write(line)
            sync(log.fileno())
            log.write(b"lost")
        lossy.lose_power()
    assert (lossy.path / "log").read_bytes() == b"one\ntwo\n"


def test_truncation_and_overwriting_are_durable_once_synced(lossy: LossyDirectory) -> None:
    with (lossy.path / "before").open("r+b", buffering=0) as file:
        file.truncate(3)
        file.write(b"BE")
        os.fsync(file.fileno())
        file.truncate(0)
    lossy.lose_power()
    assert (lossy.path / "before").read_bytes() == b"BEf"


def test_names_are_durable_at_once(lossy: LossyDirectory) -> None:
    (lossy.path / "sub").mkdir()
    (lossy.path / "before").rename(lossy.path / "sub" / "after")
    with (lossy.path / "old").open("wb", buffering=0) as old:
        (lossy.path / "old").unlink()
        old.write(b"still open")
        os.fsync(old.fileno())
    lossy.lose_power()
    assert os.listdir(lossy.path) == ["sub"]
    assert (lossy.path / "sub" / "after").read_bytes() == b"before"
