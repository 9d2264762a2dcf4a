"""What the benchmark itself asks of PostgreSQL: make a database, count what is stored."""

import asyncio
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


def named(url: str, database: str) -> str:
    """Return the URL of another database on the same server; nothing for nothing."""
    return make_url(url).set(database=database).render_as_string(False) if url else ""


def create(server_url: str, database: str) -> str:
    """Create an empty database and return its URL."""
    asyncio.run(_ask(server_url, f"CREATE DATABASE {database}"))
    return named(server_url, database)


def checkpoint(admin_url: str) -> None:
    """Write out what earlier measurements left dirty, so that the next does not pay for it."""
    asyncio.run(_ask(admin_url, "CHECKPOINT"))


def stored(url: str) -> dict[str, int]:
    """Count the stored orders of each run: the prefix of an order number says which run sent it."""
    query = "SELECT split_part(order_no, '-', 1), count(*) FROM orders GROUP BY 1"
    return {str(prefix): int(count) for prefix, count in asyncio.run(_ask(url, query))}


async def _ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    # Autocommit: CREATE DATABASE and CHECKPOINT refuse to run inside a transaction.
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    async with engine.connect() as connection:
        result = await connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []
