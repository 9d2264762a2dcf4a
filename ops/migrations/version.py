"""Which revision the code needs, and which one a database has."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `tidegate version` reads HEAD and needs no driver
    import asyncpg

#: The newest revision in `versions/`.
HEAD = "0001"


async def current(connection: "asyncpg.Connection[asyncpg.Record]") -> str | None:
    """Return the revision of the database; None when it was never migrated.

    Raises the driver's errors as they are.
    """
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    found: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    return found
