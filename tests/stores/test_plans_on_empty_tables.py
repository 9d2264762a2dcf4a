"""The plans that a gateway keeps when it starts before there is anything in the tables.

Plans of the write path are generic and are kept until the next ANALYZE. One that reads a table
whole is good while that is empty, and costs a second for each event when it has a million rows.
"""

import re

import pytest

from gateway.stores.postgres.statements import sql
from tests.stores.support import Database
from tests.support.databases import database  # noqa: F401 - one that nobody analyzed

#: Statements for single orders and events, and the sweeper's and
#: the relay's, which read all that waits.
STATEMENTS = {
    "lock_orders": (),
    "read_context": (),
    "write_follow_ups": (),
    "find_matches": (),
    "place": (),
    "add_order_no_alias": (),
    "find_orders_to_settle": ("waiting",),
    "take_outbox": ("outbox", "targets"),
    "add_deliveries": (),
    "lock_due_deliveries": (),
    "claim_deliveries": (),
    "read_orders_to_tell": (),
    "finish_deliveries": (),
    "lock_orders_by_id": (),
    "write_acceptances": (),
    "await_acceptance": (),
    "delete_awaiting_acceptance": (),
    # The few that are configured.
    "list_missed": ("targets",),
    "count_missed": (),
    "delete_settled_awaiting": (),
    "push_missed": ("targets",),
    "find_orders_to_recheck": ("waiting",),
    "restage_paid": ("outbox",),
    "check_payments": (),
    "scan_payments": (),
    "scan_orders": (),
    "end_findings": (),
}

_BY_CHANNEL_ALONE = re.compile(r"Index Cond: \(channel = \w+\.channel\)$")


def read_whole(plan: list[str]) -> list[str]:
    """Return the tables that a plan reads without looking up anything."""
    found = []
    for line, after in zip(plan, [*plan[1:], ""], strict=True):
        # A channel has most of the orders.
        looks_up = "Index Cond" in after and not _BY_CHANNEL_ALONE.search(after)
        is_index = "Index Scan using" in line or "Index Only Scan using" in line
        is_whole = "Seq Scan on" in line or (is_index and not looks_up)
        if is_whole:
            found.append(line.split(" on ")[1].split()[0])
    return found


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_plan_made_on_empty_tables_looks_rows_up(name: str, ledger: Database) -> None:
    async with ledger.acquire() as connection:
        await connection.execute(
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off"
        )
        await connection.execute(f"PREPARE it AS {sql(name)}")
        count = await connection.fetchval(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'it'"
        )
        values = ", ".join(["NULL"] * count)
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE it ({values})")]
    assert set(read_whole(plan)) <= {*STATEMENTS[name]}, "\n".join(plan)
