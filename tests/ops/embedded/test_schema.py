"""Whether a restart has to migrate the embedded database, asked with one query."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from ops.embedded.cluster import Servers
from ops.harness import command_line, environment
from ops.migrations import version
from ops.up import schema
from tests.ops.embedded.support import query


@pytest.fixture(scope="module")
def primary() -> Iterator[Servers]:
    """A primary alone."""
    with Servers(replica=False, valkey=False, journal=False, fsync=False) as servers:
        yield servers


def migrate(servers: Servers) -> None:
    variables = {**environment.without_settings(), **environment.server_settings(servers)}
    command = command_line.tidegate("migrate")
    subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True)


@pytest.mark.servers
def test_only_a_database_that_is_complete_is_left_as_it_is(primary: Servers) -> None:
    """None yet, an older revision, and a month without its partition have to be migrated."""
    assert not schema.is_newest(primary)
    migrate(primary)
    assert schema.is_newest(primary)
    query(primary.admin_url, "UPDATE alembic_version SET version_num = '0001'")
    assert not schema.is_newest(primary)
    query(primary.admin_url, f"UPDATE alembic_version SET version_num = '{version.HEAD}'")
    assert schema.is_newest(primary)
    month = query(primary.admin_url, "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    query(primary.admin_url, f"DROP TABLE raw_messages_{month}")
    assert not schema.is_newest(primary)
    migrate(primary)
    assert schema.is_newest(primary)
