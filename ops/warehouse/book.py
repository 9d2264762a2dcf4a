"""The warehouse's own file: the events it was told, and how far each order is."""

import sqlite3
from pathlib import Path

from msgspec import Struct

from ops.warehouse import steps
from ops.warehouse.steps import NEXT, Pace, Stage

#: Longer than any sender repeats an event.
_REMEMBERED_S = 30 * 86400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, at_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, order_no TEXT NOT NULL, stage TEXT NOT NULL,
    due_s REAL NOT NULL, failures INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS orders_due ON orders (due_s);
"""
_COLUMNS = "id, channel, order_no, stage, failures"


class Order(Struct, frozen=True):
    """An order in the warehouse."""

    id: str
    channel: str
    order_no: str
    stage: Stage
    #: Reports in a row that the gateway did not take.
    failures: int = 0


class Book:
    """Written by one process; what a call has written is on the disk when it returns.

    Times are passed in, in seconds since 1970.
    """

    def __init__(self, file: Path | str, *, pace: Pace) -> None:
        self._pace = pace
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.executescript(_SCHEMA)

    def record(self, event_id: str, topic: str, order: Order, *, now_s: float) -> bool:
        """Record an event; return False, without any effect, for one that came before.

        Invariant: the event and what it does to its order are written together, so that a repeat
        after a crash finds both or neither.
        """
        with self._transaction() as database:
            seen = database.execute(
                "INSERT INTO events VALUES (?, ?) ON CONFLICT DO NOTHING", (event_id, now_s)
            )
            if not seen.rowcount:
                return False
            row = database.execute("SELECT stage FROM orders WHERE id = ?", (order.id,)).fetchone()
            before: Stage | None = row[0] if row else None
            after = steps.stage_after(topic, before)
            if after is not None and after != before:
                self._write(order, after, due_s=now_s + self._pace.of(after))
        return True

    def due(self, *, now_s: float, limit: int) -> list[Order]:
        """Return the orders of which the next step is due, the longest due first."""
        stages = ", ".join(f"'{stage}'" for stage in NEXT)
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM orders WHERE due_s <= ? AND stage IN ({stages})"  # noqa: S608  # our own names
            " ORDER BY due_s LIMIT ?",
            (now_s, limit),
        )
        return [Order(*row) for row in rows]

    def advance(self, order: Order, *, now_s: float) -> None:
        """Record that the gateway has taken the report of the order's next step.

        An order that was stopped meanwhile stays so.
        """
        _, after = NEXT[order.stage]
        self._database.execute(
            "UPDATE orders SET stage = ?, due_s = ?, failures = 0 WHERE id = ? AND stage = ?",
            (after, now_s + self._pace.of(after), order.id, order.stage),
        )

    def postpone(self, order: Order, *, now_s: float) -> None:
        """Record that the gateway has not taken the report; it is due again later."""
        failures = order.failures + 1
        self._database.execute(
            "UPDATE orders SET due_s = ?, failures = ? WHERE id = ?",
            (now_s + steps.retry_s(failures), failures, order.id),
        )

    def newest(self, limit: int) -> list[Order]:
        """Return the orders that came last, the newest first."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM orders ORDER BY rowid DESC LIMIT ?",  # noqa: S608  # our own names
            (limit,),
        )
        return [Order(*row) for row in rows]

    def forget(self, *, now_s: float) -> None:
        """Remove the events that nobody repeats any more."""
        self._database.execute("DELETE FROM events WHERE at_s < ?", (now_s - _REMEMBERED_S,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _write(self, order: Order, stage: Stage, *, due_s: float) -> None:
        self._database.execute(
            "INSERT INTO orders (id, channel, order_no, stage, due_s) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, due_s = excluded.due_s,"
            " failures = 0",
            (order.id, order.channel, order.order_no, stage, due_s),
        )

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._database)


class _Transaction:
    """``BEGIN IMMEDIATE`` until the block ends: committed, or rolled back when it raises."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._database.execute("COMMIT" if error is None else "ROLLBACK")
