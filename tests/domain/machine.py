"""The ledger without a database: ``Fold`` is fed what the statements would read.

It reads exactly what ``lock_orders.sql`` and ``read_context.sql`` read, and writes what
``write_follow_ups.sql`` writes, so that a row those overlook is missing here too.
"""

import copy
from collections.abc import Sequence
from uuid import UUID

from gateway.domain import events
from gateway.domain.asking import ActionAnswer
from gateway.domain.folding import Rules
from gateway.domain.following import Done, FollowUp, OrderState, PaymentState, Settle
from gateway.domain.followup_batch import Fold
from gateway.domain.followup_rows import (
    Context,
    HistoryRow,
    OutboxRow,
    ParkedRow,
    WaitingEvent,
)
from tests.domain.support import new_id


class Machine:
    """Orders, payments, history and what waits, as they are after each batch."""

    def __init__(self, *, takes_parts: bool = True, is_late: bool = False) -> None:
        self._rules = Rules(takes_parts=lambda channel: takes_parts, new_id=new_id, is_late=is_late)
        self._answers: dict[tuple[str, str], ActionAnswer] = {}
        self.orders: dict[UUID, OrderState] = {}
        self.payments: dict[UUID, PaymentState] = {}
        self.waiting: dict[UUID, WaitingEvent] = {}
        self.history: dict[tuple[str, str], HistoryRow] = {}
        self.parked: list[ParkedRow] = []
        self.outbox: list[OutboxRow] = []

    def place(self, order: OrderState) -> None:
        """Store an order unless its number is taken, and settle what waited for it."""
        if any(self._number(known) == self._number(order) for known in self.orders.values()):
            return
        self.orders[order.id] = copy.copy(order)
        self.follow([Settle(order.id)])

    def follow(self, batch: Sequence[FollowUp | Settle]) -> list[Done]:
        """Fold a batch and keep what it writes."""
        orders = self._lock_orders(batch)
        context = self._read_context(batch, orders)
        fold = Fold(orders=orders, context=context, rules=self._rules)
        done = [fold.take(entry) for entry in batch]
        for row in fold.history:
            assert (row.source, row.source_key) not in self.history, "history has each event once"
            self.history[row.source, row.source_key] = row
        self.orders |= {order.id: order for order in fold.changed_orders()}
        self.payments |= {payment.id: payment for payment in fold.payments.changes().payments}
        assert len({(p.source, p.transaction_id) for p in self.payments.values()}) == len(
            self.payments
        ), "a transaction has one row an account"
        self.waiting |= {row.id: row for row in fold.new_waiting}
        # One statement cannot both mark a row and delete it: it would do only one of them.
        assert not set(fold.settled) & set(fold.tried), "what is settled is not left to be tried"
        for id_ in fold.settled:
            del self.waiting[id_]
        self.parked += fold.parked
        self.outbox += fold.outbox
        self._answers |= fold.gate.answers
        self._check_money()
        return done

    def _check_money(self) -> None:
        for order in self.orders.values():
            assert 0 <= order.refunded <= order.paid
        for payment in self.payments.values():
            assert 0 <= payment.refunded <= payment.amount

    def _lock_orders(self, batch: Sequence[FollowUp | Settle]) -> list[OrderState]:
        ids: set[UUID] = set()
        for entry in batch:
            if isinstance(entry, Settle):
                ids.add(entry.order_id)
                continue
            numbers = {(channel, events.order_no(entry.event)) for channel in entry.channels}
            ids |= {id_ for id_, order in self.orders.items() if self._number(order) in numbers}
            ids |= {
                row.order_id
                for row in self.payments.values()
                if row.order_id is not None
                and row.provider == entry.provider
                and not {row.transaction_id, *row.names}.isdisjoint(events.names(entry.event))
            }
            parcel = events.tracking_no(entry.event)
            ids |= {
                id_
                for id_, order in self.orders.items()
                if parcel and any(sent.tracking_no == parcel for sent in order.parcels)
            }
        return [copy.copy(self.orders[id_]) for id_ in sorted(ids)]

    def _read_context(
        self, batch: Sequence[FollowUp | Settle], orders: Sequence[OrderState]
    ) -> Context:
        follow_ups = [entry for entry in batch if isinstance(entry, FollowUp)]
        named = {
            (entry.provider, name) for entry in follow_ups for name in events.names(entry.event)
        }
        numbers = {order.order_no for order in orders}
        ids = {order.id for order in orders}
        payments = [
            row
            for row in self.payments.values()
            if not named.isdisjoint(self._names(row))
            or row.order_id in ids
            or (row.order_id is None and row.order_no in numbers)
        ]
        transactions = named | {name for row in payments for name in self._names(row)}
        waiting = [
            row
            for row in self.waiting.values()
            if row.order_no in numbers
            or (row.transaction_id and (row.provider, row.transaction_id) in transactions)
        ]
        awaited = {(row.provider, row.transaction_id) for row in waiting if row.transaction_id}
        payments += [
            row
            for row in self.payments.values()
            if (row.provider, row.transaction_id) in awaited
            and not any(row is each for each in payments)
        ]
        keys: set[tuple[str, str] | None] = {(row.source, row.source_key) for row in follow_ups}
        reported = [(row.provider, row.event) for row in follow_ups]
        reported += [(row.provider, row.event) for row in waiting]
        for provider, event in reported:
            transaction = provider, events.transaction_id(event)
            reported_by = {
                known.source
                for known in self.payments.values()
                if (known.provider, known.transaction_id) == transaction
            }
            keys |= {events.refund_key(origin, event) for origin in reported_by | {provider}}
        recorded = {key for key in self.history if key in keys}
        payments = [copy.copy(row) for row in payments]
        return Context(payments, waiting, recorded, self._answers)

    @staticmethod
    def _names(payment: PaymentState) -> set[tuple[str, str]]:
        return {(payment.provider, name) for name in (payment.transaction_id, *payment.names)}

    @staticmethod
    def _number(order: OrderState) -> tuple[str, str]:
        return order.channel, order.order_no
