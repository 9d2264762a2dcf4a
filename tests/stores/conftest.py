"""One database for all the tests of the ledger, emptied before each.

There are five hundred of them, and with a copy each would take a quarter of a second longer. A
module that freezes or kills its Valkey has one of its own, or a cluster.
"""

from collections.abc import Iterator

import pytest

from tests.support.databases import emptied_database as database  # noqa: F401 - used by its name
from tests.support.valkey_cluster import Server, cluster_in, server_in


@pytest.fixture(scope="module")
def module_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey that this module may freeze and kill; it empties it itself."""
    with server_in(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """The same as a cluster of three primaries."""
    with cluster_in(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes
