"""What the nightly scan and the re-check read, page by page, and what they found."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg
from msgspec import Struct

from gateway.domain import holds, scanning
from gateway.domain.errors import Unavailable
from gateway.domain.missed import STOPPING
from gateway.domain.scanning import Finding, FindingKind
from gateway.stores.postgres import errors
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.replicas import Readers
from gateway.stores.postgres.statements import sql

_COUNTED = sorted(holds.COUNTED)


class HeldPlace(Struct, frozen=True):
    """Where a page of held orders ended."""

    hold: str
    placed_at: datetime
    id: UUID


class Open(Struct, frozen=True):
    """A finding that was true when it was last looked at."""

    kind: FindingKind
    subject: UUID
    order_id: UUID | None


class ScanStore:
    """Reads from a replica where one has caught up; writes to the primary.

    Every page is one snapshot. All of it raises ``Unavailable``.
    """

    def __init__(self, *, readers: Readers, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._readers = readers
        self._pool = pool

    async def payments(
        self, after: UUID, before: UUID, limit: int
    ) -> list[tuple[UUID, UUID | None]]:
        """Return a page of (payment, its order) by id."""
        return [tuple(row) for row in await self._fetch("scan_payments", after, before, limit)]

    async def orders(self, after: UUID, before: UUID, limit: int) -> list[UUID]:
        """Return a page of orders by id."""
        return [id_ for (id_,) in await self._fetch("scan_orders", after, before, limit)]

    async def held(self, after: HeldPlace | None, limit: int) -> list[HeldPlace]:
        """Return a page of held orders."""
        place = (None, None, None) if after is None else (after.hold, after.placed_at, after.id)
        rows = await self._fetch("scan_held", *place, limit)
        return [HeldPlace(row["hold"], row["placed_at"], row["id"]) for row in rows]

    async def waiting(self, after: UUID, since: datetime, limit: int) -> list[Finding]:
        """Return a page of events that have waited since before ``since``, as findings."""
        return [
            Finding(
                "waiting_too_long",
                row["id"],
                row["order_id"],
                row["channel"] or "",
                row["order_no"],
                f"{row['type']} of {row['source']} since {row['received_at']:%Y-%m-%d %H:%M} UTC",
            )
            for row in await self._fetch("scan_waiting", after, since, limit)
        ]

    async def still_waiting(self, events: Sequence[UUID]) -> set[UUID]:
        """Return those of these events that still wait."""
        return {id_ for (id_,) in await self._fetch("still_waiting", events)}

    async def open_findings(self, after: Open | None, limit: int) -> list[Open]:
        """Return a page of findings that are not ended."""
        place = ("", UUID(int=0)) if after is None else (after.kind, after.subject)
        return [Open(*row) for row in await self._fetch("scan_open_findings", *place, limit)]

    async def check_orders(self, orders: Sequence[UUID], owed_before: datetime) -> list[Finding]:
        """Return what does not agree of these orders.

        ``owed_before``: money that is owed since before then is owed for too long.
        """
        rows = await self._fetch("check_orders", orders, _COUNTED, list(STOPPING), owed_before)
        return [_of_order(row) for row in rows]

    async def check_payments(self, payments: Sequence[UUID]) -> list[Finding]:
        """Return those of these payments that belong to no order."""
        return [_of_payment(row) for row in await self._fetch("check_payments", payments)]

    async def write(self, found: Sequence[Finding], day: date) -> list[str]:
        """Note what was found; return the kinds of what is new, one for each."""
        if not found:
            return []
        by_key = {(each.kind, each.subject): each for each in found}
        rows = list(by_key.values())
        with errors.translated():
            written = await self._pool.fetch(
                sql("write_findings"),
                [each.kind for each in rows],
                [each.subject for each in rows],
                [each.order_id for each in rows],
                [each.channel for each in rows],
                [each.order_no for each in rows],
                [each.detail for each in rows],
                day,
            )
        return [row["kind"] for row in written if row["is_new"]]

    async def end(self, ended: Sequence[Open]) -> int:
        """Note that findings are true no more; return how many that ended."""
        if not ended:
            return 0
        with errors.translated():
            found: int = await self._pool.fetchval(
                sql("end_findings"),
                [each.kind for each in ended],
                [each.subject for each in ended],
            )
        return found

    async def _fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        async def work(connection: Connection) -> list[asyncpg.Record]:
            return list(await connection.fetch(sql(name), *arguments))

        answer = await self._readers.read(work)
        if answer.age_s is not None:
            # Nothing is said of orders by what a replica knew some time ago.
            raise Unavailable("postgres")
        return answer.value


def _of_order(row: asyncpg.Record) -> Finding:
    kind: FindingKind = row["kind"]
    currency = row["currency"]
    match kind:
        case "sum_differs":
            detail = scanning.sums_detail(
                currency,
                (row["paid"], row["refunded"]),
                (row["counted_paid"], row["counted_refunded"]),
            )
        case "refund_overdue":
            detail = scanning.owed_detail(row["owed"], currency)
        case "double_payment":
            detail = scanning.double_detail(row["paid"], row["owed"], currency)
        case _:
            detail = "order.paid was never staged"
    return Finding(kind, row["id"], row["id"], row["channel"], row["order_no"], detail)


def _of_payment(row: asyncpg.Record) -> Finding:
    elsewhere = list(row["elsewhere"])
    detail = scanning.payment_detail(
        row["provider"], row["transaction_id"], row["amount"], row["currency"], elsewhere
    )
    return Finding("payment_without_order", row["id"], None, "", row["order_no"], detail)
