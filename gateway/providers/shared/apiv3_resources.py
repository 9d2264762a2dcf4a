"""Map decrypted resources of WeChat Pay and Douyin Pay: payments and refunds.

Amounts are integers in fen; each refund is one event, under the merchant's number for it.
"""

from collections.abc import Container
from decimal import Decimal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money
from gateway.providers import contract
from gateway.providers.shared import apiv3, fields

#: States of a payment in which no money was received; REFUND is not one of them.
_UNPAID = frozenset({"NOTPAY", "CLOSED", "REVOKED", "USERPAYING", "PAYERROR"})
_REFUND_STATUSES = frozenset({"SUCCESS", "CLOSED", "PROCESSING", "ABNORMAL"})


class Parties(Struct):
    """The merchants and apps that a resource names; every field may be missing."""

    mchid: str | None = None
    appid: str | None = None
    # A service provider and the merchant it works for.
    sp_mchid: str | None = None
    sp_appid: str | None = None
    sub_mchid: str | None = None
    # One payment for the orders of several merchants.
    combine_mchid: str | None = None


class _PaymentAmount(Struct):
    total: int
    currency: str | None = None


class _Payment(Struct):
    trade_state: str
    out_trade_no: object = None
    transaction_id: str | None = None
    success_time: object = None
    amount: _PaymentAmount | None = None


class _RefundAmount(Struct):
    refund: int
    currency: str | None = None


class _Refund(Struct):
    out_refund_no: str
    refund_status: str
    out_trade_no: object = None
    transaction_id: str | None = None
    success_time: object = None
    amount: _RefundAmount | None = None


_PARTIES = msgspec.json.Decoder(Parties)
_PAYMENT = msgspec.json.Decoder(_Payment)
_REFUND = msgspec.json.Decoder(_Refund)


def parties(notice: apiv3.Notice) -> Parties:
    """Return the parties that the notice names. Raises ``Rejected``."""
    return fields.decoded(_PARTIES, notice.plain)


def check_app(appid: str | None, ours: Container[str]) -> None:
    """Raise ``Rejected`` if the notice names an app outside ``ours``; empty accepts all."""
    if ours and appid is not None and appid not in ours:
        raise errors.Rejected("not_ours", "another app; see the option appids")


def currency(account: contract.Account, code: str) -> str:
    """Return the option ``currency`` if ISO 4217 lists it. Raises ``ValueError``."""
    if code not in money.DECIMALS:
        raise fields.misconfigured(account, "has a currency that ISO 4217 does not list")
    return code


def payment(notice: apiv3.Notice, *, currency: str) -> events.Event:
    """Map a payment; only SUCCESS is a payment event, and what cannot be read is unmapped."""
    return fields.event_or_unmapped(
        lambda: _payment(notice, currency), kind=notice.kind, at=notice.created_at
    )


def refund(notice: apiv3.Notice, *, currency: str) -> events.Event:
    """Map a refund by its own status; what cannot be read is unmapped."""
    return fields.event_or_unmapped(
        lambda: _refund(notice, currency), kind=notice.kind, at=notice.created_at
    )


def _payment(notice: apiv3.Notice, currency: str) -> events.Event:
    resource = fields.decoded(_PAYMENT, notice.plain)
    if resource.trade_state == "SUCCESS":
        if resource.amount is None or resource.transaction_id is None:
            raise fields.malformed("a payment without its amount or its number")
        # The price of the order; payer_total is lower if a coupon is paid by another party.
        amount, code = _money(resource.amount.total, resource.amount.currency or currency)
        return events.PaymentSucceeded(
            transaction_id=fields.transaction_id(resource.transaction_id),
            order_no=fields.merchant_order_no(resource.out_trade_no),
            amount=amount,
            currency=code,
            occurred_at=fields.moment_or(resource.success_time, notice.created_at),
        )
    if resource.trade_state in _UNPAID:
        return events.Noted(notice.kind, notice.created_at)
    return unmapped(
        notice,
        "the state of the payment is neither SUCCESS nor one without money: ask the provider",
        order_no=fields.merchant_order_no(resource.out_trade_no),
    )


def _refund(notice: apiv3.Notice, currency: str) -> events.Event:
    resource = fields.decoded(_REFUND, notice.plain)
    order_no = fields.merchant_order_no(resource.out_trade_no)
    refund_no = fields.token(resource.out_refund_no, "out_refund_no", fields.REFUND_NO_MAX)
    status = notice.kind.rpartition(".")[2]
    if status in _REFUND_STATUSES and status != resource.refund_status:
        return unmapped(
            notice, f"event type and status of refund {refund_no} disagree", order_no=order_no
        )
    match resource.refund_status:
        case "SUCCESS":
            if resource.amount is None or resource.transaction_id is None:
                raise fields.malformed("a refund without its amount or the payment's number")
            amount, code = _money(resource.amount.refund, resource.amount.currency or currency)
            return events.RefundSucceeded(
                transaction_id=fields.transaction_id(resource.transaction_id),
                order_no=order_no,
                refund_no=refund_no,
                amount=fields.refund_amount(amount, code),
                cumulative=False,
                currency=code,
                occurred_at=fields.moment_or(resource.success_time, notice.created_at),
            )
        # Closed, or in progress: no money moved, and the merchant can see it in the console.
        case "CLOSED" | "PROCESSING":
            return events.Noted(notice.kind, notice.created_at)
        case "ABNORMAL":
            return unmapped(
                notice,
                f"refund {refund_no} did not reach the buyer (card closed or frozen): "
                "finish it in the merchant console",
                order_no=order_no,
            )
        case _:
            return unmapped(notice, f"refund {refund_no} has an unknown status", order_no=order_no)


def unmapped(notice: apiv3.Notice, detail: str, *, order_no: str = "") -> events.Unmapped:
    """Return the event of a notice that a person must check."""
    return events.Unmapped(notice.kind, order_no, detail, notice.created_at)


def _money(minor: int, code: str) -> tuple[Decimal, str]:
    return fields.amount(money.from_minor(minor, fields.currency(code)), code), code
