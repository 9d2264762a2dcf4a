"""The payments that a batch of follow-ups may touch: found by number and order, and what changed.

No I/O. Folding changes payments in place; what differs from what was read is written.
"""

import copy
from collections.abc import Iterable
from uuid import UUID

from gateway.domain import events
from gateway.domain.events import Event
from gateway.domain.following import DisputeState, PaymentState, RefundReport
from gateway.stores.postgres.followup_rows import PaymentName


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

    def named(self, provider: str, event: Event) -> list[PaymentState]:
        """Return the payments that have a number of the event's transaction, of any account."""
        found: list[PaymentState] = []
        for name in events.names(event):
            for payment in self._by_number.get((provider, name), ()):
                _append(found, payment)
        return found

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

    def changed(self) -> list[PaymentState]:
        """Return the payments that are new or different."""
        return [payment for payment in self._all if payment != self._read.get(payment.id)]

    def new_names(self) -> list[PaymentName]:
        """Return the further numbers of payments that were not known."""
        return [
            PaymentName(payment.provider, name, payment.id)
            for payment in self.changed()
            for name in payment.names
            if payment.id not in self._read or name not in self._read[payment.id].names
        ]

    def new_refunds(self) -> list[RefundReport]:
        """Return what was told of refunds and is not stored."""
        known = {report for payment in self._read.values() for report in payment.refunds}
        return [report for each in self.changed() for report in each.refunds if report not in known]

    def changed_disputes(self) -> list[DisputeState]:
        """Return the disputes that are new or different."""
        known = {dispute for each in self._read.values() for dispute in each.disputes}
        return [each for one in self.changed() for each in one.disputes if each not in known]


def _append(found: list[PaymentState], payment: PaymentState) -> None:
    # By identity: two payments may be equal, and comparing all fields costs more.
    if not any(each is payment for each in found):
        found.append(payment)
