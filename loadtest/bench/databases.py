"""The benchmarks' own statements: create a database, checkpoint, count the stored orders."""

import asyncio
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


def named(url: str, database: str) -> str:
    """Return the URL of another database on the same server; "" for ""."""
    return make_url(url).set(database=database).render_as_string(False) if url else ""


def create(server_url: str, database: str) -> str:
    """Create an empty database and return its URL."""
    asyncio.run(_execute(server_url, f"CREATE DATABASE {database}"))
    return named(server_url, database)


def checkpoint(admin_url: str) -> None:
    """Write the dirty pages of earlier measurements, so that they do not slow down the next."""
    asyncio.run(_execute(admin_url, "CHECKPOINT"))


def execute(url: str, statement: str) -> None:
    """Run one statement, committed by itself."""
    asyncio.run(_execute(url, statement))


def number(url: str, query: str) -> int:
    """Return the number in the only row of a query."""
    ((found,),) = asyncio.run(_execute(url, query))
    return int(found)


def stored(url: str) -> dict[str, int]:
    """Count the stored orders by run: the prefix of an order number names its run."""
    query = "SELECT split_part(order_no, '-', 1), count(*) FROM orders GROUP BY 1"
    return {str(prefix): int(count) for prefix, count in asyncio.run(_execute(url, query))}


async def _execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    # Autocommit: CREATE DATABASE and CHECKPOINT cannot run inside a transaction.
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    async with engine.connect() as connection:
        result = await connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []
