"""What a verified notice or message of Alipay says of an order and its money.

Each table lists every documented value; another one is parked with its name. Frozen funds
(pre-authorisations) are no payment: what is captured of them is told by the notice of a trade, and
what is unfrozen was never paid.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Literal
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract
from gateway.providers.shared import fields

#: Where the order number is: the trade's own number at the merchant, or what the merchant had
#: passed through, for orders that are paid by several trades.
OrderNoFrom = Literal["out_trade_no", "passback_params"]

#: ``closed``: unpaid, or paid and refunded in full.
TRADE_STATUSES: Mapping[str, Literal["unpaid", "paid", "closed"]] = {
    "WAIT_BUYER_PAY": "unpaid",
    "TRADE_SUCCESS": "paid",
    "TRADE_FINISHED": "paid",
    "TRADE_CLOSED": "closed",
}
#: Types of notices that are about no trade and move no money: funds are frozen or released, an
#: agreement is signed or ended, an app is authorised.
WITHOUT_MONEY = frozenset(
    "fund_auth_freeze fund_auth_unfreeze dut_user_sign dut_user_unsign open_app_auth_notify".split()
)
#: Of a frozen sum; anything else captures it.
_NOT_CAPTURED = frozenset({"", "FREEZE", "UNFREEZE"})
_DEPOSIT_BACK = "alipay.trade.refund.depositback.completed"
_COMPLAINT = "alipay.merchant.tradecomplain.changed"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?", re.ASCII)
_MILLISECONDS = re.compile(r"\d{1,15}", re.ASCII)

#: China has no daylight saving time.
_GMT8 = timezone(timedelta(hours=8))


class Terms(Struct, frozen=True, kw_only=True):
    """What an account decides about its payments."""

    #: Currency of a notice that names none.
    currency: str
    order_no_from: OrderNoFrom = "out_trade_no"


class _Complained(Struct):
    complain_event_id: str


class _Returned(Struct):
    dback_status: str
    out_request_no: str = ""


_COMPLAINED = msgspec.json.Decoder(_Complained)
_RETURNED = msgspec.json.Decoder(_Returned)


class Notice:
    """The fields of a verified notice as text; an empty one counts as absent."""

    def __init__(self, form: Mapping[bytes, bytes], codec: str, now: datetime) -> None:
        self._form = form
        self._codec = codec
        self._now = now

    def optional(self, name: str) -> str:
        """Return a field, or ``""``."""
        return self._form.get(name.encode(), b"").decode(self._codec)

    def required(self, name: str) -> str:
        """Return a field. Raises ``Rejected``."""
        if value := self.optional(name):
            return value
        raise fields.malformed(f"no field {name}")

    def transaction_id(self) -> str:
        """Return Alipay's number of the trade. Raises ``Rejected``."""
        return fields.transaction_id(self.required("trade_no"))

    def order_no(self, terms: Terms) -> str:
        """Return the order number, or ``""`` where the merchant's reference is none."""
        return fields.reference(self.passed(terms), self.optional("out_trade_no"))

    def passed(self, terms: Terms) -> str:
        """Return the order number that the merchant had passed through, or ``""``."""
        if terms.order_no_from != "passback_params":
            return ""
        # Merchants escape it, as the documentation asks them to.
        return fields.merchant_order_no(unquote(self.optional("passback_params")))

    def time(self, *names: str) -> datetime:
        """Return the first of the named times that can be read, else that of its arrival."""
        for name in names:
            text = self.optional(name)
            if not _TIME.fullmatch(text):
                continue
            try:
                return fields.moment(datetime.fromisoformat(text).replace(tzinfo=_GMT8))
            except (ValueError, errors.Rejected):
                continue
        return self._now

    def sent_at(self) -> datetime:
        """Return when Alipay sent it: messages write unix milliseconds, notices a local time."""
        stamp = self.optional("utc_timestamp")
        if _MILLISECONDS.fullmatch(stamp):
            try:
                return fields.from_unix(int(stamp) // 1000)
            except errors.Rejected:
                pass
        return self.time("notify_time")


def is_of_a_trade(notice: Notice) -> bool:
    """Return whether money may be booked from the notice."""
    return bool(notice.optional("trade_status") or notice.optional("trade_no"))


def items(key: str, notice: Notice, terms: Terms) -> list[contract.Item]:
    """Map a notice that is ours."""
    kind = fields.kind(*(notice.optional(n) for n in ("trade_status", "msg_method", "notify_type")))
    order_no = notice.order_no(terms)

    def item(key: str, read: Callable[[], events.Event]) -> contract.Item:
        at = notice.sent_at()
        return contract.Item(
            key, fields.event_or_unmapped(read, kind=kind, at=at, order_no=order_no)
        )

    def unmapped(detail: str) -> events.Unmapped:
        return events.Unmapped(kind, order_no, detail, notice.sent_at())

    status = notice.optional("trade_status")
    if not status:
        return [item(key, lambda: _message(kind, notice, unmapped))]
    meaning = TRADE_STATUSES.get(status)
    if meaning is None:
        # Neither treat it as paid nor ignore it.
        return [item(key, lambda: unmapped("a trade_status that Alipay does not document"))]
    if meaning == "unpaid" and _is_refund(notice):
        return [item(key, lambda: unmapped("refunded, and not paid: ask Alipay"))]
    if meaning == "unpaid":
        return [item(key, lambda: events.Noted(kind, notice.sent_at()))]
    if _is_refund(notice):
        # A refunded trade was paid. The extra payment event is a repeat at worst, and books
        # the payment of an order whose own notice was lost.
        return [
            item(f"{key}:paid", lambda: _payment(notice, terms)),
            item(key, lambda: _refund(notice, terms)),
        ]
    if meaning == "paid":
        return [item(key, lambda: _payment(notice, terms))]
    if notice.optional("gmt_payment"):
        return [
            item(f"{key}:paid", lambda: _payment(notice, terms)),
            item(key, lambda: unmapped("closed after it was paid, without saying what went back")),
        ]
    return [item(key, lambda: _closed(notice, terms, kind))]


def _payment(notice: Notice, terms: Terms) -> events.PaymentSucceeded:
    # The price of the order. What the buyer pays after discounts (buyer_pay_amount), what the
    # merchant gets (receipt_amount) and what is settled abroad (settle_amount) are other amounts.
    total = fields.decimal(notice.required("total_amount"), "total_amount")
    currency = _currency(notice, terms)
    return events.PaymentSucceeded(
        transaction_id=notice.transaction_id(),
        order_no=notice.order_no(terms),
        amount=fields.amount(total, currency),
        currency=currency,
        occurred_at=notice.time("gmt_payment", "notify_time"),
    )


def _refund(notice: Notice, terms: Terms) -> events.RefundSucceeded:
    # All that was refunded of the trade so far, discounts included (send_back_fee is without).
    total = fields.decimal(notice.required("refund_fee"), "refund_fee")
    currency = _currency(notice, terms)
    return events.RefundSucceeded(
        transaction_id=notice.transaction_id(),
        order_no=notice.order_no(terms),
        refund_no=fields.merchant_refund_no(notice.optional("out_biz_no")),
        amount=fields.refund_amount(total, currency),
        cumulative=True,
        currency=currency,
        occurred_at=notice.time("gmt_refund", "notify_time"),
    )


def _currency(notice: Notice, terms: Terms) -> str:
    """Return the currency of the price: cross-border trades name it, others have the account's."""
    return fields.currency(notice.optional("trans_currency") or terms.currency)


def _closed(notice: Notice, terms: Terms, kind: str) -> events.Event:
    closed_at = notice.time("gmt_close", "notify_time")
    if notice.passed(terms):
        # One of the trades of the order: another one may pay it.
        return events.Noted(kind, closed_at)
    order_no = fields.order_no(notice.required("out_trade_no"))
    return events.Closed(order_no, "timed_out", closed_at, only_unpaid=True)


def _is_refund(notice: Notice) -> bool:
    fee = notice.optional("refund_fee")
    # A fee that cannot be read is one: the refund is then parked, and the payment counts.
    return bool(notice.optional("gmt_refund")) or fee.strip("0.") != ""


def _message(kind: str, notice: Notice, unmapped: Callable[[str], events.Unmapped]) -> events.Event:
    """Map what is about no trade: frozen funds, agreements, messages to the app's gateway."""
    if kind == "trade_status_sync":
        raise fields.malformed("a trade notice without trade_status")
    if kind in WITHOUT_MONEY:
        if notice.optional("operation_type") not in _NOT_CAPTURED:
            return unmapped("frozen funds that were captured: the notice of its trade is booked")
        return events.Noted(kind, notice.sent_at())
    if kind == _DEPOSIT_BACK:
        return _deposit_back(kind, notice, unmapped)
    if kind == _COMPLAINT:
        found = fields.decoded(_COMPLAINED, notice.required("biz_content").encode())
        number = fields.token(found.complain_event_id, "complain_event_id", fields.KEY_MAX)
        return unmapped(f"a buyer's complaint, {number}: it names no trade, see the console")
    return unmapped("a type of notice that is not booked")


def _deposit_back(
    kind: str, notice: Notice, unmapped: Callable[[str], events.Unmapped]
) -> events.Event:
    """Map the end of a refund's way to a bank card; the refund itself is told by its trade.

    A bank that does not take the money ends no refund: Alipay puts it into the buyer's balance.
    """
    found = fields.decoded(_RETURNED, notice.required("biz_content").encode())
    number = fields.merchant_refund_no(found.out_request_no) or "without a number"
    match found.dback_status:
        case "S":
            return events.Noted(kind, notice.sent_at())
        case "F":
            return unmapped(
                f"the bank did not take refund {number}: Alipay put it into the buyer's balance; "
                "the refund stands"
            )
        case _:
            return unmapped(f"refund {number} to a bank card has an unknown dback_status")
