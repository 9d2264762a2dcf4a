"""The migration to the hand-off: gateways of the version before go on inserting."""

import asyncio
from importlib.resources import files

import asyncpg

_STAGE = """
INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
SELECT id, order_id, version, topic, priority, created_at
  FROM json_populate_recordset(null::outbox, $1::json)
"""
_ROW = """[{"id": "00000000-0000-7000-8000-000000000001", "order_id":
"00000000-0000-7000-8000-000000000002", "version": 1, "topic": "order.paid", "priority": 1,
"created_at": "2026-11-30T00:00:00Z"}]"""


def test_statements_that_an_open_connection_has_prepared_survive(empty_database: str) -> None:
    versions = files("ops.migrations") / "versions"

    async def run() -> None:
        before = await asyncpg.connect(empty_database)
        await before.execute((versions / "0001_ledger.sql").read_text("utf-8"))
        stage = await before.prepare(_STAGE)
        # Often enough that the server has made a generic plan.
        for _ in range(7):
            await stage.fetch(_ROW.replace("0001", "0000"))
            await before.execute("DELETE FROM outbox")
        migrating = await asyncpg.connect(empty_database)
        await migrating.execute((versions / "0016_hand_off.sql").read_text("utf-8"))
        await stage.fetch(_ROW)
        await stage.fetch(_ROW)
        found = await migrating.fetch("SELECT position, version, topic FROM outbox ORDER BY 1")
        assert [tuple(row) for row in found] == [(1, 1, "order.paid"), (2, 1, "order.paid")]
        await before.close()
        await migrating.close()

    asyncio.run(run())
