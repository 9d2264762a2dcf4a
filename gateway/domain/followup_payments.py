"""The payments that a batch of follow-ups may touch: found by number and order, and what changed.

No I/O. Folding changes payments in place; what differs from what was read is written.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from gateway.domain import authority, events
from gateway.domain.events import Event, PaymentSucceeded
from gateway.domain.following import DisputeState, FollowUp, PaymentState, RefundReport
from gateway.domain.followup_rows import PaymentName, WaitingEvent


class Changes(NamedTuple):
    """Rows to write: payments, and what is new of their numbers, refunds and disputes."""

    payments: list[PaymentState]
    names: list[PaymentName]
    refunds: list[RefundReport]
    disputes: list[DisputeState]


class KnownPayments:
    """Payments of a batch, those that were read and those that it makes."""

    def __init__(self, read: Iterable[PaymentState]) -> None:
        self._all = list(read)
        self._read = {payment.id: copy.copy(payment) for payment in self._all}
        #: By (provider, number): one payment of each account that reported it.
        self._by_number: dict[tuple[str, str], list[PaymentState]] = {}
        self._by_order: dict[UUID, list[PaymentState]] = {}
        for payment in self._all:
            self.index(payment)

    def add(self, payment: PaymentState) -> None:
        """Add a payment that nobody had reported."""
        self._all.append(payment)
        self.index(payment)

    def report(
        self, entry: FollowUp | WaitingEvent, event: PaymentSucceeded, *, id_: UUID
    ) -> PaymentState:
        """Return the payment of an event that is the first to tell of it, added."""
        payment = PaymentState(
            id=id_,
            provider=entry.provider,
            source=entry.source,
            transaction_id=event.transaction_id,
            order_id=None,
            order_no=event.order_no,
            currency=event.currency,
            amount=event.amount,
            refunded=event.amount * 0,
            standing="waiting",
            paid_at=event.occurred_at,
            is_provisional=event.is_provisional,
        )
        self.add(payment)
        return payment

    def made_up(
        self, entry: FollowUp | WaitingEvent, event: PaymentSucceeded
    ) -> list[PaymentState]:
        """Return the payments with a number of the event that people recorded, and not this."""
        source = authority.by_person(entry.provider)
        if not event.order_no or entry.source == source:
            return []
        return [each for each in self.named(entry.provider, event) if each.source == source]

    def named(self, provider: str, event: Event) -> Sequence[PaymentState]:
        """Return the payments that have a number of the event's transaction, of any account."""
        names = events.names(event)
        if len(names) == 1:
            return self._by_number.get((provider, names[0]), ())
        found: list[PaymentState] = []
        for name in names:
            for payment in self._by_number.get((provider, name), ()):
                _append(found, payment)
        return found

    def join(self, source: str, provider: str, event: events.PaymentSucceeded) -> None:
        """Give what an account reported apart, and now as one payment, all of each other's numbers.

        Each then has every number that was ever told with any of its own, whatever came first:
        what waits under one of them is found by all.
        """
        same = [
            payment
            for payment in self.named(provider, event)
            if payment.source == source
            and (payment.currency, payment.amount) == (event.currency, event.amount)
        ]
        if len(same) < 2:
            return
        numbers = [*events.names(event)]
        numbers += [name for each in same for name in (each.transaction_id, *each.names)]
        for payment in same:
            known = {payment.transaction_id, *payment.names}
            added = [name for name in dict.fromkeys(numbers) if name not in known]
            payment.names = (*payment.names, *added)
            self.index(payment)

    def of(self, order_id: UUID | None, payment: PaymentState | None) -> list[PaymentState]:
        """Return all payments of an order, and ``payment``, which may be its or not yet."""
        found = [] if order_id is None else list(self._by_order.get(order_id, ()))
        if payment is not None:
            _append(found, payment)
        return found

    def index(self, payment: PaymentState) -> None:
        """Make a payment found by all its numbers, and by its order. Repeats are harmless."""
        for name in (payment.transaction_id, *payment.names):
            _append(self._by_number.setdefault((payment.provider, name), []), payment)
        if payment.order_id is not None:
            _append(self._by_order.setdefault(payment.order_id, []), payment)

    def changes(self) -> Changes:
        """Return what is new or different, once the batch is folded."""
        payments = [each for each in self._all if each != self._read.get(each.id)]
        made = Changes(payments, [], [], [])
        for payment in payments:
            if not (payment.names or payment.refunds or payment.disputes):
                continue
            read = self._read.get(payment.id, payment)
            is_read = read is not payment
            for name in payment.names:
                if not is_read or name not in read.names:
                    made.names.append(PaymentName(payment.provider, name, payment.id))
            made.refunds.extend(r for r in payment.refunds if not is_read or r not in read.refunds)
            made.disputes.extend(
                d for d in payment.disputes if not is_read or d not in read.disputes
            )
        return made


def _append(found: list[PaymentState], payment: PaymentState) -> None:
    # By identity: two payments may be equal, and comparing all fields costs more.
    for each in found:
        if each is payment:
            return
    found.append(payment)
