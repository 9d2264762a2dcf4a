"""Indexes that are built before their revision, while gateways read and write the table.

``CREATE INDEX CONCURRENTLY`` cannot run in a transaction, and revisions run in one. So
``versions/online/NNNN_index_name.sql`` holds that one statement, and the script of revision NNNN
makes the index with ``IF NOT EXISTS``. An index too many harms nothing: a run that is killed
between the two is repeated.
"""

from collections.abc import Callable
from importlib.resources import files

import asyncpg

SCRIPTS = files("ops.migrations") / "versions" / "online"

_IS_VALID = """
SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(quote_ident($1))
"""


async def build(
    connection: "asyncpg.Connection[asyncpg.Record]",
    *,
    after: str,
    say: Callable[[str], None],
) -> None:
    """Build the indexes of the revisions after ``after`` that the present tables allow.

    The session must hold the lock of migrations and no transaction. An index on what a missing
    revision adds is left to its script. Raises the driver's errors.
    """
    for script in sorted(SCRIPTS.iterdir(), key=lambda each: each.name):
        revision, _, rest = script.name.partition("_")
        if revision <= after or not rest.endswith(".sql"):
            continue
        index = rest.removesuffix(".sql")
        is_valid = await connection.fetchval(_IS_VALID, index)
        if is_valid:
            continue
        if is_valid is not None:
            # Left by a run that was killed: it is maintained and never used.
            await connection.execute(f'DROP INDEX CONCURRENTLY "{index}"')
        say(f"building index {index} beside the running gateways")
        try:
            # It waits for old transactions without making others wait: no reason to give up.
            await connection.execute("SET lock_timeout = 0")
            await connection.execute(script.read_text("utf-8"))
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            continue
        finally:
            await connection.execute("RESET lock_timeout")
