"""The lane of follow-ups: payments, refunds, closes, shipments, folded into their orders.

One transaction a batch: lock the orders in id order, read what else they depend on, fold in
Python with ``domain.folding``, write back in one statement. What is already recorded is a
repeat; what another transaction recorded meanwhile makes the whole batch fold again.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import asyncpg
import msgspec

from gateway.domain import events
from gateway.domain.asking import ActionAnswer
from gateway.domain.errors import Unavailable
from gateway.domain.folding import Rules
from gateway.domain.following import (
    Acceptance,
    DisputeState,
    Done,
    Entry,
    FollowUp,
    OrderState,
    Parcel,
    PaymentState,
    RefundReport,
    Replay,
    Settle,
)
from gateway.domain.followup_batch import Fold
from gateway.domain.followup_replays import ReplayedRow, ReplayFold
from gateway.domain.followup_rows import Context, PaymentName, WaitingEvent
from gateway.runtime import retry
from gateway.stores.postgres import addresses, errors, replayed_rows
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import Sealer

_LOCK_ORDERS = sql("lock_orders")
_READ_CONTEXT = sql("read_context")
_WRITE = sql("write_follow_ups")
_AMEND = sql("amend_orders")
_READ_ANSWERS = sql("read_action_answers")
_WRITE_ANSWERS = sql("write_action_answers")
_FORGET_AWAITED = sql("delete_awaiting_acceptance")

_TRIES_MAX = 6

_decode_payments = msgspec.json.Decoder(list[PaymentState]).decode
_decode_waiting = msgspec.json.Decoder(list[WaitingEvent]).decode
_decode_refunds = msgspec.json.Decoder(list[RefundReport]).decode
_decode_disputes = msgspec.json.Decoder(list[DisputeState]).decode
_decode_names = msgspec.json.Decoder(list[PaymentName]).decode
_decode_parcels = msgspec.json.Decoder(list[Parcel]).decode
_decode_recorded = msgspec.json.Decoder(list[tuple[str, str]]).decode
_decode_aliases = msgspec.json.Decoder(list[tuple[UUID, str]]).decode
_decode_acceptances = msgspec.json.Decoder(tuple[Acceptance, ...]).decode
_encode = msgspec.json.Encoder().encode
_encode_items = msgspec.json.Encoder(decimal_format="string").encode


class FollowUps:
    """Applies events to orders. Has the statements; the domain decides.

    Afterwards the orders, payments, history and outbox agree: all of a batch is committed in one
    transaction, or none of it. Orders are locked in id order and rows with unique keys written in
    key order, so batches cannot deadlock each other.
    """

    def __init__(
        self,
        *,
        pool: "asyncpg.Pool[asyncpg.Record]",
        sealer: Sealer,
        rules: Rules,
    ) -> None:
        self._pool = pool
        self._sealer = sealer
        self._rules = rules

    async def follow(self, batch: Sequence[Entry]) -> list[Done]:
        """Apply a batch; return the outcome of each entry, in order, all of it committed.

        Raises ``BadRow`` when an event cannot be stored (nothing of the batch is then), and
        ``Unavailable`` when it is not known whether it was: repeating the batch is harmless.
        """
        for attempt in range(_TRIES_MAX):
            try:
                with errors.translated():
                    async with self._pool.acquire() as connection, connection.transaction():
                        return await self._follow_locked(connection, batch)
            except errors.Contended:
                await retry.jitter(attempt)
        raise Unavailable("contention")

    async def preview(self, batch: Sequence[Entry]) -> list[Done]:
        """Return what ``follow`` would return now, without writing anything."""
        with errors.translated():
            async with self._pool.acquire() as connection, connection.transaction():
                return (await self._folded(connection, batch))[2]

    async def _folded(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        batch: Sequence[Entry],
    ) -> tuple[Fold, Mapping[UUID, addresses.Recipient], list[Done]]:
        """Return the folded batch, the recipients of its orders, and the outcome of each entry."""
        orders = await _lock_orders(connection, batch)
        replays = [entry for entry in batch if isinstance(entry, Replay)]
        parked = await replayed_rows.lock(connection, replays) if replays else []
        context = await _read_context(connection, batch, orders, parked)
        context.answers = await _read_answers(connection, batch)
        recipients: Mapping[UUID, addresses.Recipient] = {}
        if any(_changes_address(entry) for entry in batch):
            recipients, context.unreadable = await addresses.read(
                connection, orders, sealer=self._sealer
            )
        if replays:
            again = ReplayFold(orders=orders, context=context, rules=self._rules, parked=parked)
            return again, recipients, [again.take(entry) for entry in batch]
        fold = Fold(orders=orders, context=context, rules=self._rules)
        events_ = [entry for entry in batch if not isinstance(entry, Replay)]
        return fold, recipients, [fold.take(entry) for entry in events_]

    async def _follow_locked(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        batch: Sequence[Entry],
    ) -> list[Done]:
        fold, recipients, done = await self._folded(connection, batch)
        if fold.is_empty():
            return done
        written = await connection.fetchval(_WRITE, *self._columns(fold))
        if written != len(fold.history):
            raise errors.Contended("an event was recorded by another transaction meanwhile")
        if fold.amended:
            await connection.execute(_AMEND, *_amendments(fold))
        if fold.readdressed:
            await addresses.write(connection, fold.readdressed, recipients, sealer=self._sealer)
        if answers := sorted(fold.gate.answers.items()):
            rows = _encode([row for _, row in answers]).decode()
            await connection.execute(_WRITE_ANSWERS, rows)
        if fold.accepted:
            accepted = sorted(fold.accepted)
            await connection.execute(
                _FORGET_AWAITED,
                [order for order, _ in accepted],
                [target for _, target in accepted],
            )
        if isinstance(fold, ReplayFold):
            await replayed_rows.finish(connection, fold)
        return done

    def _columns(self, fold: Fold) -> list[object]:
        seal = self._sealer.seal
        raw = fold.raw
        # Sorted by their unique keys, or two batches with the same events could deadlock.
        history = sorted(fold.history, key=lambda row: (row.source, row.source_key))
        changes = fold.payments.changes()
        payments = sorted(changes.payments, key=lambda row: (row.transaction_id, row.source))
        return [
            _encode(history).decode(),
            _encode(fold.changed_orders()).decode(),
            _encode(payments).decode(),
            _encode(fold.new_waiting).decode(),
            fold.settled,
            list(fold.tried),
            _encode(fold.outbox).decode(),
            _encode(fold.parked).decode(),
            [entry.id for entry in raw],
            [entry.source for entry in raw],
            [seal("raw_messages.body", entry.id.bytes, entry.raw or b"") for entry in raw],
            [entry.received_at for entry in raw],
            _encode(changes.names).decode(),
            _encode(changes.refunds).decode(),
            _encode(changes.disputes).decode(),
            _encode(fold.changed_parcels()).decode(),
        ]


def _changes_address(entry: Entry) -> bool:
    return isinstance(entry, FollowUp) and isinstance(entry.event, events.AddressChanged)


def _amendments(fold: Fold) -> list[list[object]]:
    """Return the columns of ``amend_orders.sql``."""
    orders, amended = list(fold.amended), list(fold.amended.values())
    amounts = [event.amounts for event in amended]
    return [
        list(orders),
        [each.goods for each in amounts],
        [each.shop_discount for each in amounts],
        [each.platform_subsidy for each in amounts],
        [each.freight for each in amounts],
        [each.tax or Decimal(0) for each in amounts],
        [each.tax_included is True for each in amounts],
        [each.payable for each in amounts],
        [_encode_items(event.items).decode() for event in amended],
        [bytes.fromhex(event.payload_digest) for event in amended],
    ]


async def _lock_orders(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    batch: Sequence[Entry],
) -> list[OrderState]:
    numbers: set[tuple[str, str, bool]] = set()
    transactions: set[tuple[str, str]] = set()
    parcels: set[tuple[str, str]] = set()
    ids: set[UUID] = set()
    for each in batch:
        if isinstance(each, Settle):
            ids.add(each.order_id)
            continue
        entry = _event_of(each, transactions)
        if order_no := events.order_no(entry.event):
            numbers.update((channel, order_no, entry.is_test) for channel in entry.channels)
        transactions.update((entry.provider, name) for name in events.names(entry.event))
        if tracking_no := events.tracking_no(entry.event):
            parcels.update((channel, tracking_no) for channel in entry.channels)
    records = await connection.fetch(
        _LOCK_ORDERS,
        [channel for channel, _, _ in numbers],
        [order_no for _, order_no, _ in numbers],
        [provider for provider, _ in transactions],
        [transaction_id for _, transaction_id in transactions],
        [channel for channel, _ in parcels],
        [tracking_no for _, tracking_no in parcels],
        list(ids),
        [is_test for _, _, is_test in numbers],
    )
    return [_order_state(record) for record in records]


def _order_state(record: asyncpg.Record) -> OrderState:
    *fields, accepted_at, acceptances = record
    order = OrderState(*fields)
    if acceptances is not None:
        order.accepted_at, order.acceptances = accepted_at, _decode_acceptances(acceptances)
    return order


async def _read_context(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    batch: Sequence[Entry],
    orders: Sequence[OrderState],
    parked: Sequence[ReplayedRow],
) -> Context:
    misread: set[tuple[str, str]] = set()
    follow_ups = [_event_of(each, misread) for each in batch if not isinstance(each, Settle)]
    named = [(entry.provider, name) for entry in follow_ups for name in events.names(entry.event)]
    named += misread
    keys = [(entry.source, entry.source_key) for entry in follow_ups]
    keys += [row.history_key() for row in parked]
    refunds = [
        (entry.provider, entry.event)
        for entry in follow_ups
        if isinstance(entry.event, events.RefundSucceeded) and entry.event.refund_no
    ]
    record = await connection.fetchrow(
        _READ_CONTEXT,
        [provider for provider, _ in named],
        [name for _, name in named],
        [order.id for order in orders],
        [order.channel for order in orders],
        [order.order_no for order in orders],
        [source for source, _ in keys],
        [key for _, key in keys],
        [provider for provider, _ in refunds],
        [refund.transaction_id for _, refund in refunds],
        [refund.refund_no for _, refund in refunds],
    )
    assert record is not None, "read_context.sql returns one row"
    payments = _decode_payments(record["payments"])
    _attach(
        payments,
        refunds=_decode_refunds(record["refunds"]),
        disputes=_decode_disputes(record["disputes"]),
        names=_decode_names(record["names"]),
    )
    by_id = {order.id: order for order in orders}
    for parcel in _decode_parcels(record["parcels"]):
        order = by_id[parcel.order_id]
        order.parcels = (*order.parcels, parcel)
    for order_id, alias in _decode_aliases(record["aliases"]):
        order = by_id[order_id]
        order.aliases = (*order.aliases, alias)
    return Context(
        payments=payments,
        waiting=_decode_waiting(record["waiting"]),
        recorded=set(_decode_recorded(record["recorded"])),
    )


async def _read_answers(
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
    batch: Sequence[Entry],
) -> dict[tuple[str, str], ActionAnswer]:
    """Return what actions of the batch were answered before; nothing is read where it has none."""
    keys = [
        (entry.source, entry.source_key)
        for entry in batch
        if isinstance(entry, FollowUp) and entry.asked is not None
    ]
    if not keys:
        return {}
    records = await connection.fetch(_READ_ANSWERS, *map(list, zip(*keys, strict=True)))
    return {(record[0], record[1]): ActionAnswer(*record) for record in records}


def _event_of(entry: FollowUp | Replay, misread: set[tuple[str, str]]) -> FollowUp:
    """Return the event of an entry; add the number that it was parked under, if it was."""
    if isinstance(entry, FollowUp):
        return entry
    if entry.transaction_no:
        misread.add((entry.entry.provider, entry.transaction_no))
    return entry.entry


def _attach(
    payments: Sequence[PaymentState],
    *,
    refunds: Sequence[RefundReport],
    disputes: Sequence[DisputeState],
    names: Sequence[PaymentName],
) -> None:
    """Give each payment what was told of it."""
    by_id = {payment.id: payment for payment in payments}
    for report in refunds:
        payment = by_id[report.payment_id]
        payment.refunds = (*payment.refunds, report)
    for dispute in disputes:
        payment = by_id[dispute.payment_id]
        payment.disputes = (*payment.disputes, dispute)
    for other in names:
        payment = by_id[other.payment_id]
        payment.names = (*payment.names, other.name)
