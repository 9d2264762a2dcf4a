"""Map WooCommerce's complete order: the order it places, and the events that its status proves.

All messages about an order must produce the same submission (``woocommerce_lines``). The events:

- What was paid is the total, once ``date_paid_gmt`` says so; a zero date says nothing. A shop works
  on an order that is not paid where it is paid on delivery.
- A completed order is delivered, whatever was or was not sent.
- A cancelled one is closed, whatever was paid for it. A failed payment is none: the buyer may try
  again.
- Refunds have numbers of their own. One that is deleted at the shop is not in later messages, and
  no message says so.
"""

import functools
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, orders
from gateway.providers import contract, woocommerce_lines
from gateway.providers.shared import fields, shop_amounts, shop_orders

#: Carts, not orders.
_CARTS = frozenset({"checkout-draft", "auto-draft"})
_UNPAID = frozenset({"pending", "on-hold", "failed"})
_PAID = frozenset({"processing", "completed", "refunded"})
_CASH_ON_DELIVERY = "cod"


class _Refund(Struct):
    id: int
    total: Decimal


class _Head(Struct):
    id: int
    number: str | int
    status: str
    date_modified_gmt: str | None = None


class _Paid(_Head, kw_only=True):
    """What money, status and time need; read apart, so that no line costs a payment."""

    currency: str
    total: Decimal
    refunds: list[msgspec.Raw] = []
    payment_method: str | None = None
    date_paid_gmt: str | None = None
    #: In the zone of the shop; all that version 1 of its API tells.
    date_paid: str | None = None
    date_completed_gmt: str | None = None


_id = functools.partial(shop_orders.id_text, giver="a shop")
# Times of the shop are UTC without a zone.
_moment_or = functools.partial(shop_orders.moment_or, zone=UTC)
_HEAD = msgspec.json.Decoder(_Head)
_PAID_PART = msgspec.json.Decoder(_Paid)
_REFUND = msgspec.json.Decoder(_Refund)
#: Fields that money, number and status need; any other that is odd is left out.
_NEEDED = frozenset({"id", "number", "status", "currency", "total", "refunds", "date_paid_gmt"})


def items(
    body: bytes, *, digest: str, now: datetime, channel: str, country: str
) -> list[contract.Item]:
    """Return the order and its events. Raises ``Rejected`` if it names no order."""
    head = fields.decoded_as_possible(_HEAD, body, needed=_NEEDED)
    if isinstance(head.number, int) and not 0 < head.number < 1 << 63:
        raise fields.malformed("the number is not one that a shop assigns")
    id_ = _id(head.id)
    message = shop_orders.OrderMessage(
        kind=fields.token(f"order.{head.status}", "the status", fields.KEY_MAX),
        key=f"order:{id_}",
        digest=digest,
        now=now,
        changed=head.date_modified_gmt,
        zone=UTC,
    )
    if head.status in _CARTS:
        return [message.whole(events.Noted(message.kind, now))]
    return shop_orders.items(
        message,
        str(head.number),
        id_=id_,
        report=lambda message: _Report(
            message,
            fields.decoded_as_possible(_PAID_PART, body, needed=_NEEDED),
            body,
            now,
            channel,
            country,
        ),
    )


class _Report(Struct, frozen=True):
    """One order as a message reports it."""

    message: shop_orders.OrderMessage
    order: _Paid
    body: bytes
    now: datetime
    channel: str
    country: str

    @property
    def transaction_id(self) -> str:
        """Return the transaction id: the channel and the order number.

        Refunds name the order only, and the number of a payment plug-in may arrive later or
        change. The channel is included, as order numbers of different shops overlap.
        """
        return f"{self.channel}:{self.message.order_no}"

    @property
    def status(self) -> str:
        """Return the status without the prefix that it has in WordPress, and in some plug-ins."""
        return self.order.status.removeprefix("wc-")

    def submission(self) -> orders.Submission:
        return woocommerce_lines.submission(
            self.body, self.message.order_no, self.channel, self.country
        )

    def happened(self) -> list[contract.Item]:
        message, status = self.message, self.status
        if status not in _PAID | _UNPAID | {"cancelled"}:
            # A status of a plug-in, or trash. Never treated as paid.
            return [message.notice("a status that WooCommerce itself does not use for orders")]
        return self._of_paid() if self._is_paid() else self._of_unpaid()

    def _is_paid(self) -> bool:
        return any(map(shop_orders.is_time, (self.order.date_paid_gmt, self.order.date_paid)))

    def _of_paid(self) -> list[contract.Item]:
        status = self.status
        found = [self.message.item("paid", self._payment())]
        if status == "cancelled":
            found.append(self._closed())
        elif status in _UNPAID:
            found.append(self.message.notice(f"{status} after it was paid"))
        found.extend(self._refunds())
        if status == "completed":
            found.append(self._delivered())
        return found

    def _of_unpaid(self) -> list[contract.Item]:
        order, message, status = self.order, self.message, self.status
        if status in _UNPAID:
            return []
        if status == "cancelled":
            return [self._closed()]
        # The shop works on it, and has no money for it.
        on_delivery = events.PaysOnDelivery(message.order_no, message.at)
        if status == "processing":
            return [message.item("on_delivery", on_delivery)]
        if status == "completed" and not order.total:
            return [self._delivered()]
        if status == "completed" and order.payment_method == _CASH_ON_DELIVERY:
            return [message.item("on_delivery", on_delivery), self._delivered()]
        return [message.notice(f"{status}, and never paid")]

    def _closed(self) -> contract.Item:
        closed = events.Closed(self.message.order_no, "cancelled", self.message.at)
        return self.message.item("closed", closed)

    def _delivered(self) -> contract.Item:
        at = _moment_or(self.now, self.order.date_completed_gmt)
        return self.message.item("completed", events.Delivered(self.message.order_no, at))

    def _payment(self) -> events.Event:
        return events.PaymentSucceeded(
            transaction_id=self.transaction_id,
            order_no=self.message.order_no,
            amount=shop_amounts.total(self.order.total, self.order.currency),
            currency=self.order.currency,
            occurred_at=_moment_or(self.now, self.order.date_paid_gmt),
        )

    def _refunds(self) -> list[contract.Item]:
        listed = self.order.refunds
        if not listed and self.status == "refunded":
            return [self.message.notice("refunded, but the message names no amount")]
        amounts = self._amounts()
        return shop_orders.refunds(self.message, listed, lambda raw: self._returned(raw, amounts))

    def _amounts(self) -> dict[int, Decimal]:
        """Return what each refund returned, by its number; the oldest first is rounded first."""
        read = [refund for raw in self.order.refunds if (refund := _readable(raw)) is not None]
        read.sort(key=lambda refund: refund.id)
        parts = shop_amounts.parts([-refund.total for refund in read], self.order.currency)
        return {refund.id: part for refund, part in zip(read, parts, strict=True)}

    def _returned(
        self, raw: msgspec.Raw, amounts: dict[int, Decimal]
    ) -> tuple[int, contract.Item | None]:
        """Return the refund's number, and the refund; None if only goods were returned."""
        refund = fields.decoded_leniently(_REFUND, raw)
        refund_no = _id(refund.id)
        if refund.id not in amounts:
            raise fields.malformed("a refund with a positive total, or one that is no amount")
        if not amounts[refund.id]:
            return refund.id, None
        returned = events.RefundSucceeded(
            transaction_id=self.transaction_id,
            order_no=self.message.order_no,
            refund_no=refund_no,
            amount=fields.refund_amount(amounts[refund.id], self.order.currency),
            cumulative=False,
            currency=self.order.currency,
            occurred_at=self.message.at,
        )
        return refund.id, self.message.item(f"refund:{refund.id}", returned)


def _readable(raw: msgspec.Raw) -> _Refund | None:
    """Return a refund that may count; None for one that is parked."""
    try:
        refund = fields.decoded_leniently(_REFUND, raw)
        return refund if shop_amounts.figure(refund.total) <= 0 else None
    except errors.Rejected:
        return None
