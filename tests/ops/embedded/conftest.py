"""State directories, and servers that run in them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded.cluster import Servers
from tests.ops.embedded.support import new_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that another user may pass through."""
    made = new_directory()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="package")
def state_dir() -> Iterator[Path]:
    """A state directory with all servers made and stopped; tests start them again."""
    directory = new_directory()
    with Servers(state=directory / "state", fsync=False):
        pass
    yield directory / "state"
    shutil.rmtree(directory)


@pytest.fixture
def servers(state_dir: Path) -> Iterator[Servers]:
    """All servers, running."""
    with Servers(state=state_dir, fsync=False) as running:
        yield running
