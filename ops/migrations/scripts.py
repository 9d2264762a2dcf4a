"""Plain SQL files as migrations."""

from importlib.resources import files

import asyncpg
from alembic import op


def run(name: str) -> None:
    """Run the whole file ``versions/{name}`` in the migration's transaction.

    The driver's simple protocol takes many statements and ``$$`` bodies as they are, so the
    file is what a person can read and feed to psql. Raises the driver's own errors.
    """
    script = (files("ops.migrations") / "versions" / name).read_text("utf-8")
    bind = op.get_bind()
    # The adapter begins its transaction with its first statement: have it begun.
    bind.exec_driver_sql("SELECT 1")

    async def execute(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        assert connection.is_in_transaction(), "a migration is applied whole or not at all"
        await connection.execute(script)

    adapted = bind.connection.dbapi_connection
    assert adapted is not None, "the connection is open"
    adapted.run_async(execute)
