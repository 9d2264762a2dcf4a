"""The servers of the measured services: embedded, in a temporary directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from loadtest.errors import translated
from ops.embedded.cluster import Servers


class Addresses(NamedTuple):
    """The URLs of the servers; empty when none were needed."""

    database_url: str = ""
    #: As superuser: only they may run a checkpoint.
    admin_url: str = ""
    redis_url: str = ""
    journal_url: str = ""
    replica_url: str = ""


@contextmanager
def running(*, replica: bool) -> Iterator[Addresses]:
    """Start PostgreSQL, Valkey and the journal as in production, with fsync; stop them afterwards.

    Raises ``CannotRun`` when they do not start.
    """
    servers = Servers(replica=replica)
    with translated():
        servers.start()
    try:
        yield Addresses(
            database_url=servers.database_url,
            admin_url=servers.admin_url,
            redis_url=servers.redis_url,
            journal_url=servers.journal_url,
            replica_url=servers.replica_url if replica else "",
        )
    finally:
        servers.stop()
