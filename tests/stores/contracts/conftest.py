"""Each contract runs over the fake of the tests and over the real store.

A fake that answers otherwise than the store would let every test that uses it prove nothing.
"""

import pytest

from tests.support.valkey_cluster import Server

#: The real one needs a server; ``make test-fast`` runs the other alone.
EITHER = ["fake", pytest.param("real", marks=pytest.mark.servers)]


@pytest.fixture(params=EITHER)
def valkey_or_none(request: pytest.FixtureRequest) -> Server | None:
    """None for the fake; for the real store the module's Valkey, emptied."""
    if request.param == "fake":
        return None
    server: Server = request.getfixturevalue("module_valkey")
    server.client.flushall()
    return server
