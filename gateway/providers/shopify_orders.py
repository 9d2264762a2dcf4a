"""Map Shopify's complete order: the order it places, and the events that its states prove.

All messages about an order must produce the same submission (``shopify_lines``). Amounts are in the
shop's own currency, wherever the buyer's is told as well.

- ``financial_status`` tells what was captured, never what was authorised. Shopify does not report
  the amount: it is the total, unless the message shows that it cannot be.
- A cancelled order is closed, whatever was paid for it.
- An order that is fulfilled before it is paid is paid on delivery, or later.
"""

import functools
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import events, money, orders
from gateway.providers import contract, shopify_lines, shopify_parcels, shopify_refunds
from gateway.providers.shared import fields, shop_amounts, shop_orders

#: Every documented ``financial_status``; any other is parked.
_UNPAID = frozenset({None, "pending", "authorized", "voided", "expired", "unpaid"})
_PART = "partially_paid"
_PAID = frozenset({"paid", "partially_refunded", "refunded"})

#: How shops name this way to pay, which has no code.
_ON_DELIVERY = re.compile(r"\bcash on delivery\b|\bcod\b|cash_on_delivery", re.IGNORECASE)


class _Head(Struct):
    id: int
    name: str
    financial_status: str | None = None
    updated_at: str | None = None
    test: bool = False


class _Paid(_Head, kw_only=True):
    """What money, status and time need; read apart, so that no line costs a payment."""

    currency: str
    total_price: Decimal
    total_price_set: shopify_lines.Money | None = None
    current_total_price: Decimal | None = None
    current_total_price_set: shopify_lines.Money | None = None
    total_outstanding: Decimal | None = None
    payment_gateway_names: list[str] = []
    refunds: list[msgspec.Raw] = []
    fulfillments: list[msgspec.Raw] = []
    fulfillment_status: str | None = None
    line_items: list[msgspec.Raw] = []
    closed_at: str | None = None
    cancelled_at: str | None = None


_id = functools.partial(shop_orders.id_text, giver="Shopify")
_HEAD = msgspec.json.Decoder(_Head)
_PAID_PART = msgspec.json.Decoder(_Paid)
#: Fields that money, number and status need; any other that is odd is left out.
_NEEDED = frozenset(
    {
        "id", "name", "financial_status", "test", "currency", "total_price", "total_outstanding",
        "current_total_price", "refunds", "cancelled_at",
    }
)  # fmt: skip


def items(
    body: bytes,
    *,
    digest: str,
    now: datetime,
    channel: str,
    country: str,
    park_untracked: bool,
    take_tests: bool,
) -> list[contract.Item]:
    """Return the order and its events. Raises ``Rejected`` if it names no order."""
    head = fields.decoded_as_possible(_HEAD, body, needed=_NEEDED)
    id_ = _id(head.id)
    message = shop_orders.OrderMessage(
        kind=fields.token(f"order.{head.financial_status}", "financial_status", fields.KEY_MAX),
        key=f"order:{id_}",
        digest=digest,
        now=now,
        changed=head.updated_at,
    )
    if head.test and not take_tests:
        return [message.whole(events.Noted("test", now))]
    return shop_orders.items(
        message,
        head.name,
        id_=id_,
        report=lambda message: _Report(
            message,
            fields.decoded_as_possible(_PAID_PART, body, needed=_NEEDED),
            body,
            now,
            channel,
            country,
            park_untracked,
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
    park_untracked: bool

    @property
    def currency(self) -> str:
        """Return the shop's currency."""
        return shopify_lines.currency(self.order.currency, self.order.total_price_set)

    @property
    def total(self) -> Decimal:
        """Return the total in the shop's currency. Raises ``Rejected``."""
        order, edited = self.order, shopify_lines.edited_total(self.order)
        figure = shopify_lines.shop_amount(order.total_price, order.total_price_set)
        return shop_amounts.total(figure if edited is None else edited, self.currency)

    def submission(self) -> orders.Submission:
        return shopify_lines.submission(
            self.body, self.message.order_no, self.channel, self.country
        )

    def happened(self) -> list[contract.Item]:
        status = self.order.financial_status
        refunds = self._refunds()
        if status in _PAID:
            found = self._paid(refunds)
        elif status == _PART:
            found = [self._part()]
        elif status in _UNPAID:
            found = self._on_delivery()
        else:
            return [self.message.notice("its financial_status is not documented")]
        if shop_orders.is_time(self.order.cancelled_at):
            at = shop_orders.moment_or(self.now, self.order.cancelled_at)
            closed = events.Closed(self.message.order_no, "cancelled", at)
            found.append(self.message.item("closed", closed))
        found.extend(refunds)
        is_back = status in ("partially_refunded", "refunded")
        # Some webhooks list refunds without their transactions.
        if is_back and not refunds and not self._is_refund_open():
            found.append(self.message.notice(f"{status}, but the message names no amount"))
        return found + self._parcels()

    def _paid(self, refunds: Sequence[contract.Item]) -> list[contract.Item]:
        """Return the payment of the total, or park a total that cannot have been paid.

        It was the total, unless nothing is left of the order, an amount is outstanding, or the
        refunds of a refunded order do not add up to the total.
        """
        order, status, total = self.order, self.order.financial_status, self.total
        back = sum(
            (i.event.amount for i in refunds if isinstance(i.event, events.RefundSucceeded)),
            money.ZERO,
        )
        is_untouched = not order.refunds and not shop_orders.is_time(order.cancelled_at)
        current = order.current_total_price
        is_empty = is_untouched and total > 0 and current is not None and not _is_more(current)
        is_all_back = status != "refunded" or back == total or self._is_refund_open()
        if is_empty or not is_all_back or _differs(order.total_outstanding, money.ZERO):
            detail = f"{status}, but the paid amount is unclear"
            return [self.message.notice(detail, "unclear")]
        payment = events.PaymentSucceeded(
            # Refunds name the order and no payment, so the order's id, unique at Shopify, is the
            # transaction id.
            transaction_id=_id(order.id),
            order_no=self.message.order_no,
            amount=total,
            currency=self.currency,
            occurred_at=self.message.at,
        )
        found = [self.message.item("paid", payment)]
        if total > shopify_lines.shop_amount(order.total_price, order.total_price_set):
            # Told once more under a key of its own: where less was booked before the order was
            # edited, a person hears that more has come.
            found.append(self.message.item(f"paid:{total.normalize():f}", payment))
        return found

    def _part(self) -> contract.Item:
        """Park a payment in part, once for each amount: its own number is in no message."""
        open_, detail = self.order.total_outstanding, "paid in part"
        if open_ is None or not open_.is_finite():
            return self.message.notice(detail)
        detail = f"paid in part: {money.named(open_, self.currency)} are outstanding"
        return self.message.item(f"part:{open_.normalize():f}", self.message.unmapped(detail))

    def _on_delivery(self) -> list[contract.Item]:
        order = self.order
        is_named = any(_ON_DELIVERY.search(name) for name in order.payment_gateway_names)
        if shop_orders.is_time(order.cancelled_at) or not (is_named or order.fulfillment_status):
            return []
        on_delivery = events.PaysOnDelivery(self.message.order_no, self.message.at)
        return [self.message.item("on_delivery", on_delivery)]

    def _is_refund_open(self) -> bool:
        return any(map(shopify_refunds.is_open, self.order.refunds))

    def _refunds(self) -> list[contract.Item]:
        told = shopify_refunds.Told(
            transaction_id=_id(self.order.id),
            order_no=self.message.order_no,
            currency=self.currency,
            total=self.order.total_price_set,
            now=self.now,
        )
        return shop_orders.refunds(
            self.message, self.order.refunds, lambda raw: shopify_refunds.item(raw, told)
        )

    def _parcels(self) -> list[contract.Item]:
        order = self.order
        return shopify_parcels.of_order(
            self.message,
            order.fulfillments,
            status=order.fulfillment_status,
            is_archived=shop_orders.is_time(order.closed_at),
            lines=order.line_items,
            park_untracked=self.park_untracked,
        )


def _is_more(amount: Decimal) -> bool:
    return amount.is_finite() and amount > 0


def _differs(amount: Decimal | None, expected: Decimal) -> bool:
    return amount is not None and (not amount.is_finite() or amount != expected)
