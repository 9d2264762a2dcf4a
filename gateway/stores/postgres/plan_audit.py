"""Steps of plans in the audit log: nobody carries them out, and whoever sees it writes it down.

Each that begins has one row and, however it ends, another.
"""

from datetime import datetime

import asyncpg

from gateway.stores.postgres import audit
from gateway.stores.postgres.audit import Entry
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql

#: Steps that one look tells at most; what is left is told by the next.
AT_ONCE_MAX = 100


async def due(connection: Connection) -> list[Entry]:
    """Remember what began or ended by itself, and return the rows to be written for it.

    They are to be written in the same transaction, after whatever else may have to wait for a row.
    """
    return _of_themselves(await connection.fetch(sql("tell_planned"), AT_ONCE_MAX))


def taken_away(records: "list[asyncpg.Record]", *, actor: str, why: str) -> list[Entry]:
    """Return the rows to be written for dropped steps: what nobody had seen, and what ends now."""
    return [
        *_of_themselves(records),
        *(
            Entry(actor, "plan.end", record["target"], f"{_told(record)}; {why}")
            for record in records
            if record["is_begun"] and not record["is_over"]
        ),
    ]


def counted(records: "list[asyncpg.Record]") -> str:
    """Say how far the steps of a plan had come."""
    over = sum(record["is_over"] for record in records)
    begun = sum(record["is_begun"] for record in records)
    return (
        f"{len(records)} steps: {over} over, {begun - over} running, {len(records) - begun} to come"
    )


def _of_themselves(records: "list[asyncpg.Record]") -> list[Entry]:
    """Return the rows in the order in which it happened; at one moment what ends comes first."""
    found: list[tuple[datetime, bool, Entry]] = []
    for record in records:
        for is_begin, column, action in (
            (True, "from_at", "plan.begin"),
            (False, "until", "plan.end"),
        ):
            if record["begins" if is_begin else "ends"]:
                entry = Entry(audit.BY_ITSELF, action, record["target"], _told(record))
                found.append((record[column], is_begin, entry))
    return [entry for *_, entry in sorted(found, key=lambda each: each[:2])]


def _told(record: "asyncpg.Record") -> str:
    window = f"{record['from_at'].isoformat()} to {record['until'].isoformat()}"
    return f"{record['plan']}: {record['word']} {window}: {record['reason']}"
