"""What a verified notice of UnionPay says of an order and its money.

The tables list every documented ``txnType`` that moves money and every one that does not; another
one is parked with its name. An authorisation is no payment: its completion is, with a number and
an amount of its own, and what is released was never paid.

Fields are read as received bytes; all that have an effect are ASCII.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

from gateway.domain import events, money
from gateway.providers import contract
from gateway.providers.shared import fields

#: Where the order number is: the payment's own number at the merchant, or what the merchant had
#: passed through, for orders that are paid by several payments.
OrderNoFrom = Literal["orderId", "reqReserved"]

_FEN = re.compile(r"\d{1,12}", re.ASCII)

#: What captures money.
PAYMENTS = {"01": "a payment", "03": "the completion of an authorisation"}
#: What returns it. A cancellation is possible on the same day, and returns all.
REFUNDS = {
    "04": "a refund",
    "31": "the cancellation of a payment",
    "33": "the cancellation of a completion",
}
#: Authorised (02), and released again (32).
AUTHORISATIONS = frozenset({"02", "32"})
#: Queries, bindings and opening of cards, codes by SMS.
WITHOUT_MONEY = frozenset("00 22 71 72 73 74 75 76 77 78 79 94 95".split())
#: Documented, and not booked: none of them pays an order.
OTHER_MONEY = {
    "05": "a top-up",
    "11": "a collection",
    "12": "a payout",
    "13": "the payment of a bill",
    "14": "a transfer",
    "21": "a batch",
}

#: Success, and success with a defect.
_SUCCEEDED = frozenset({"00", "A6"})
#: Timed out, unknown, accepted: only a query tells how it ended.
_UNDECIDED = frozenset({"03", "04", "05"})
# Amounts are read in the currency of the price; settleAmt, in settleCurrencyCode, is what the
# merchant gets after discounts and an exchange.
_CURRENCIES = {"156": "CNY"}


class Notice:
    """The fields of a verified notice as text; an empty one counts as absent."""

    def __init__(
        self, form: Mapping[bytes, bytes], now: datetime, order_no_from: OrderNoFrom
    ) -> None:
        self._form = form
        self._now = now
        self._is_passed = order_no_from == "reqReserved"

    def optional(self, name: str) -> str:
        """Return a field, or ``""``."""
        # Invalid UTF-8 becomes a character that no number may contain.
        return self._form.get(name.encode(), b"").decode("utf-8", "replace")

    def required(self, name: str, length_max: int) -> str:
        """Return a field. Raises ``Rejected``."""
        return fields.token(self.optional(name), name, length_max)

    def order_no(self) -> str:
        """Return the order number, or ``""`` where the merchant's reference is none."""
        passed = self.optional("reqReserved") if self._is_passed else ""
        return fields.reference(passed, self.optional("orderId"))

    def query_id(self) -> str:
        """Return UnionPay's number of the transaction. Raises ``Rejected``."""
        return self.required("queryId", fields.KEY_MAX - 16)

    def amount(self) -> Decimal:
        """Return the price. Raises ``Rejected``."""
        text = self.optional("txnAmt")
        if not _FEN.fullmatch(text):
            raise fields.malformed("txnAmt is not a number of fen")
        return money.from_minor(int(text), "CNY")

    def time(self) -> datetime:
        """Return the time of the transaction, or that of its arrival where it names none."""
        return fields.from_china_digits(self.optional("txnTime")) or self._now


def item(notice: Notice) -> contract.Item:
    """Map a notice that is ours. Raises ``Rejected`` if it cannot be read."""
    kind, resp_code = notice.required("txnType", 8), notice.required("respCode", 8)
    if resp_code not in _SUCCEEDED:
        return contract.Item(_failed_key(notice, kind, resp_code), _failed(notice, kind, resp_code))
    # One queryId is one transaction; the type is added as in UnionPay's demonstration programs.
    key = f"{notice.query_id()}:{kind}"
    if kind in PAYMENTS:
        return contract.Item(key, _payment(notice))
    if kind in REFUNDS:
        return contract.Item(key, _refund(notice, kind, is_failed=False))
    if kind in AUTHORISATIONS or kind in WITHOUT_MONEY:
        return contract.Item(key, events.Noted(f"txnType_{kind}", notice.time()))
    detail = (
        f"{OTHER_MONEY.get(kind, 'a transaction')} (txnType {kind}): neither payment nor refund"
    )
    return contract.Item(key, _unmapped(f"txnType_{kind}", notice.order_no(), detail, notice))


def _payment(notice: Notice) -> events.Event:
    currency = _CURRENCIES.get(notice.optional("currencyCode"))
    if currency is None:
        return _other_currency("payment", notice.order_no(), notice)
    return events.PaymentSucceeded(
        transaction_id=notice.query_id(),
        order_no=notice.order_no(),
        amount=fields.amount(notice.amount(), currency),
        currency=currency,
        occurred_at=notice.time(),
    )


def _refund(notice: Notice, kind: str, *, is_failed: bool) -> events.Event:
    # Refunds may omit the currency: it is then that of the payment, and only CNY is booked.
    currency = _CURRENCIES.get(notice.optional("currencyCode") or "156")
    if currency is None:
        return _other_currency("refund", "", notice)
    if not notice.optional("origQryId"):
        detail = f"{REFUNDS[kind]} that does not name its payment (origQryId)"
        return _unmapped("refund", "", detail, notice)
    event = events.RefundFailed if is_failed else events.RefundSucceeded
    return event(
        transaction_id=fields.transaction_id(notice.optional("origQryId")),
        # orderId is the refund's own number, and may be reused on another day.
        order_no="",
        refund_no=notice.query_id(),
        amount=fields.refund_amount(notice.amount(), currency),
        cumulative=False,
        currency=currency,
        occurred_at=notice.time(),
    )


def _failed_key(notice: Notice, kind: str, resp_code: str) -> str:
    # A transaction may fail or be pending first and succeed later: respCode is part of the key.
    # A transaction that failed early may have no queryId; these three then identify it.
    if notice.optional("queryId"):
        return f"{notice.query_id()}:{kind}:{resp_code}"
    order_no = fields.order_no(notice.optional("orderId"))
    return f"{order_no}:{notice.required('txnTime', 14)}:{kind}:{resp_code}"


def _failed(notice: Notice, kind: str, resp_code: str) -> events.Event:
    is_undecided = resp_code in _UNDECIDED
    if kind in REFUNDS:
        # A refund was intended, and the buyer has not received the money.
        if not is_undecided and notice.optional("queryId") and notice.optional("origQryId"):
            return _refund(notice, kind, is_failed=True)
        how = "has no known end yet: query it" if is_undecided else "did not succeed"
        detail = f"{REFUNDS[kind]} {how} (respCode {resp_code})"
        return _unmapped("refund_failed", "", detail, notice)
    if is_undecided and kind in PAYMENTS:
        detail = f"{PAYMENTS[kind]} has no known end yet: query it (respCode {resp_code})"
        return _unmapped("payment", notice.order_no(), detail, notice)
    if kind in PAYMENTS or kind in AUTHORISATIONS or kind in WITHOUT_MONEY:
        return events.Noted(f"txnType_{kind}:{resp_code}", notice.time())
    detail = f"{OTHER_MONEY.get(kind, 'a transaction')} (txnType {kind}), respCode {resp_code}"
    return _unmapped(f"txnType_{kind}", notice.order_no(), detail, notice)


def _other_currency(kind: str, order_no: str, notice: Notice) -> events.Unmapped:
    return _unmapped(kind, order_no, "its currencyCode is not 156 (CNY)", notice)


def _unmapped(kind: str, order_no: str, detail: str, notice: Notice) -> events.Unmapped:
    return events.Unmapped(kind, order_no, detail, notice.time())
