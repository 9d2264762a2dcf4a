"""The locked orders of a batch of follow-ups: found by what an event names, and what changed.

No I/O. Folding changes orders in place; what differs from what was read is written.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from gateway.domain import authority, events, parcels
from gateway.domain.following import FollowUp, OrderState, Parcel
from gateway.domain.followup_payments import KnownPayments


class KnownOrders:
    """Orders of a batch, as they were read and as they are by now."""

    def __init__(
        self,
        orders: Sequence[OrderState],
        *,
        payments: KnownPayments,
        new_id: Callable[[], UUID],
    ) -> None:
        """``payments``: those of the batch, which may name an order by what paid it."""
        for each in orders:
            if not each.parcels and each.shipped_at is not None:
                each.parcels = parcels.of_before(each, new_id=new_id)
        self._by_id = {order.id: order for order in orders}
        self._by_number = {
            (each.channel, number, each.is_test): each
            for each in orders
            for number in (each.order_no, *each.aliases)
        }
        self._payments = payments
        self._read = {order.id: (order.version, order.parcels) for order in orders}

    def by_id(self, id_: UUID) -> OrderState | None:
        """Return the order with this id, if it is one of them."""
        return self._by_id.get(id_)

    def changed(self) -> list[OrderState]:
        """Return the orders whose version was raised."""
        read = self._read
        return [each for each in self._by_id.values() if each.version != read[each.id][0]]

    def changed_parcels(self) -> list[Parcel]:
        """Return the parcels of changed orders that are new or different."""
        return [
            parcel
            for order in self.changed()
            if order.parcels is not self._read[order.id][1]
            for parcel in order.parcels
        ]

    def of(self, entry: FollowUp) -> OrderState | None:
        """Return the event's order in the account's channels: by transaction, number or parcel.

        A number is that of a test order or of a live one, as the entry says. A parcel is real
        either way, and a transaction belongs to the order that it paid.
        """
        event = entry.event
        if isinstance(event, events.MONEY_BACK) and (paid := self._paid_by(entry)):
            # Money goes back from where it went, whatever number the message names.
            return paid
        number = events.order_no(event)
        if number:
            for channel in entry.channels:
                if order := self._by_number.get((channel, number, entry.is_test)):
                    return order
            return None
        if parcel := events.tracking_no(event):
            ours = [
                order
                for order in self._by_id.values()
                if order.channel in entry.channels
                and any(sent.tracking_no == parcel for sent in order.parcels)
            ]
            return ours[0] if len(ours) == 1 else None
        return self._paid_by(entry)

    def _paid_by(self, entry: FollowUp) -> OrderState | None:
        """Return the order that the entry's transaction paid; its own account's payment first."""
        reported = self._payments.named(entry.provider, entry.event)
        for payment in sorted(reported, key=lambda payment: payment.source != entry.source):
            order = self._by_id.get(payment.order_id) if payment.order_id is not None else None
            if order is not None and authority.may_touch(
                source=entry.source, channels=entry.channels, order=order, payment=payment
            ):
                return order
        return None
