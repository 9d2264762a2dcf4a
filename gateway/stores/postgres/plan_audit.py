"""Audit rows for the steps of plans.

Steps begin and end by themselves, and the first process that reads them audits it. Each step
that begins has one row and, however it ends, another.
"""

from datetime import datetime

import asyncpg

from gateway.stores.postgres import audit
from gateway.stores.postgres.audit import Entry
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql

#: Steps audited at once, at most; the next call takes the others.
AT_ONCE_MAX = 100


async def due(connection: Connection) -> list[Entry]:
    """Mark the steps that began or ended as audited, and return the rows to be written for it.

    They are to be written in the same transaction, after any other row lock it waits for.
    """
    return _begun_or_ended(await connection.fetch(sql("mark_due_steps"), AT_ONCE_MAX))


def removed(records: "list[asyncpg.Record]", *, actor: str, why: str) -> list[Entry]:
    """Return the rows for removed steps: what was not audited yet, and what ends now."""
    return [
        *_begun_or_ended(records),
        *(
            Entry(actor, "plan.end", record["target"], f"{_detail(record)}; {why}")
            for record in records
            if record["is_begun"] and not record["is_over"]
        ),
    ]


def progress(records: "list[asyncpg.Record]") -> str:
    """Return how many steps of a plan are over, running, and to come, as text."""
    over = sum(record["is_over"] for record in records)
    begun = sum(record["is_begun"] for record in records)
    return (
        f"{len(records)} steps: {over} over, {begun - over} running, {len(records) - begun} to come"
    )


def _begun_or_ended(records: "list[asyncpg.Record]") -> list[Entry]:
    """Return the rows in order of time; at one moment ends come before beginnings."""
    found: list[tuple[datetime, bool, Entry]] = []
    for record in records:
        for is_begin, column, action in (
            (True, "from_at", "plan.begin"),
            (False, "until", "plan.end"),
        ):
            if record["begins" if is_begin else "ends"]:
                entry = Entry(audit.BY_ITSELF, action, record["target"], _detail(record))
                found.append((record[column], is_begin, entry))
    return [entry for *_, entry in sorted(found, key=lambda each: each[:2])]


def _detail(record: "asyncpg.Record") -> str:
    window = f"{record['from_at'].isoformat()} to {record['until'].isoformat()}"
    return f"{record['plan']}: {record['action']} {window}: {record['reason']}"
