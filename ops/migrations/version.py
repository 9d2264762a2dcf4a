"""Which revision the code needs, and which one a database has."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `tidegate version` reads HEAD and needs no driver
    import asyncpg

#: The newest revision in `versions/`.
HEAD = "0028"


async def current(connection: "asyncpg.Connection[asyncpg.Record]") -> str | None:
    """Return the revision of the database; None when it was never migrated.

    Raises the driver's errors as they are.
    """
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    found: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    return found


def complaint(found: str | None) -> str:
    """Say what is wrong with a database at this revision and what to do; nothing if it is right."""
    if found == HEAD:
        return ""
    if found is not None and found > HEAD:
        return (
            f"the schema is at {found}, newer than this version of Tidegate ({HEAD}): "
            "install the newer version that migrated it"
        )
    return f"the schema is at {found or 'nothing yet'}, {HEAD} is needed: run `tidegate migrate`"
