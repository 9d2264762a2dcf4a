"""The money of an order: what was sent about it against what is booked.

Between two bounds: what was acknowledged is booked, and what was refused is not. Where all was
acknowledged the bounds are one.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from loadtest.compared import Compared
from loadtest.history import CallbackSent, Kind
from loadtest.ledger_contents import Payment

PAID_STATUSES = ("paid", "shipped", "completed")
#: Messages about money that goes back, or does not after all.
BACK: tuple[Kind, ...] = (
    "refund", "refund_failed", "dispute_opened", "dispute_won", "dispute_lost",
)  # fmt: skip
_COUNTED = ("applied", "after_close", "duplicate")
_SURPLUS = ("overpaid", "duplicate_payment")


def possible_money(order: Compared) -> Decimal:
    """Return the most that may be booked as paid, in the order's currency."""
    return _sum(_in_currency(order, order.possible("payment")))


def is_wrong(order: Compared) -> bool:
    """Return whether what may be booked is not what is due."""
    payments = order.possible("payment")
    return _sum(_in_currency(order, payments)) != order.sent.payable or len(payments) != len(
        _in_currency(order, payments)
    )


def paid_fault(order: Compared) -> str:
    """Return what is wrong with the payments of an order; else ""."""
    number, due = order.sent.order_no, order.sent.payable
    if len(order.rows) != 1:
        return f"{number}: {len(order.rows)} rows"
    row, counted = order.rows[0], _counted(order)
    booked = {payment.transaction_id: payment.amount for payment in counted}
    for sent in _in_currency(order, order.acknowledged("payment")):
        if booked.get(sent.transaction_id) != sent.amount:
            found = booked.get(sent.transaction_id)
            return f"{number}: {sent.transaction_id} paid {sent.amount}, booked {found}"
    total = sum(booked.values(), Decimal(0))
    if row.paid != total or len(booked) != len(counted):
        return f"{number}: {row.paid} paid, its payments add up to {total}"
    is_full = total >= due and total > 0
    if row.status not in ((*PAID_STATUSES, "refunded") if is_full else ("pending_payment",)):
        return f"{number}: {total} of {due} paid, and {row.status}"
    lines = [
        event
        for event in order.events
        if event.action == "payment_succeeded"
        and (event.outcome == "applied" or event.reason in _SURPLUS)
    ]
    if len(lines) != len(counted):
        return f"{number}: {len(counted)} payments, {len(lines)} in its history"
    return ""


def wrong_amount_fault(order: Compared) -> str:
    """Return what is wrong with an order that was paid another amount than is due; else ""."""
    number = order.sent.order_no
    if len(order.rows) != 1:
        return f"{number}: {len(order.rows)} rows"
    row = order.rows[0]
    reasons = sorted(parked.reason for parked in order.parked)
    foreign = [payment for payment in order.payments if payment.currency != order.sent.currency]
    if any(payment.standing != "mismatch" for payment in foreign):
        return f"{number}: a payment in another currency is booked as its money"
    expected = ["amount_mismatch"] * len(foreign)
    if row.paid > row.payable:
        expected.append(reasons[-1] if reasons and reasons[-1] in _SURPLUS else "overpaid")
    if [reason for reason in reasons if reason != "refund_failed"] != sorted(expected):
        return f"{number}: {row.paid} of {row.payable} paid, parked as {reasons}"
    is_held = bool(foreign) or row.paid - row.refunded > row.payable
    if (row.hold in (*_SURPLUS, "amount_mismatch")) != is_held:
        return f"{number}: {row.paid} of {row.payable} paid, held for {row.hold}"
    return ""


def refund_fault(order: Compared) -> str:
    """Return what is wrong with the money that went back; else ""."""
    number = order.sent.order_no
    low, high = _gone_back(order, at_least=True), _gone_back(order, at_least=False)
    booked = sum((payment.refunded for payment in order.payments), Decimal(0))
    for row in order.rows:
        if not low <= row.refunded <= high or row.refunded != booked:
            return f"{number}: {row.refunded} refunded ({booked} of payments), {low} promised"
        is_refunded = row.paid > 0 and row.refunded == row.paid
        if (row.status == "refunded") != is_refunded:
            return f"{number}: {row.refunded} of {row.paid} refunded, and {row.status}"
        is_open = any(dispute.state == "opened" for dispute in order.disputes)
        if (row.hold == "disputed") != is_open:
            return f"{number}: held for {row.hold}, disputes {order.disputes}"
    disputed = {sent.transaction_id for sent in order.acknowledged("dispute_opened")}
    if len(order.disputes) < len(disputed):
        return f"{number}: {len(order.disputes)} disputes stored of {len(disputed)}"
    failed = len(order.acknowledged("refund_failed"))
    shown = sum(parked.reason == "refund_failed" for parked in order.parked)
    if shown < failed:
        return f"{number}: {failed} refunds failed, {shown} parked"
    return "" if order.rows else f"{number}: not stored"


def _counted(order: Compared) -> list[Payment]:
    return [payment for payment in order.payments if payment.standing in _COUNTED]


def _in_currency(order: Compared, payments: Iterable[CallbackSent]) -> list[CallbackSent]:
    return [sent for sent in payments if sent.currency == order.sent.currency]


def _sum(sent: Iterable[CallbackSent]) -> Decimal:
    return sum((each.amount for each in sent), Decimal(0))


def _gone_back(order: Compared, *, at_least: bool) -> Decimal:
    """Return the least, or the most, that may have gone back, by what was promised."""
    sure, maybe = order.acknowledged, order.possible
    back, kept = (sure, maybe) if at_least else (maybe, sure)
    by_payment: dict[str, Decimal] = defaultdict(Decimal)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for sent in back("refund"):
        if sent.is_cumulative:
            totals[sent.transaction_id] = max(totals[sent.transaction_id], sent.amount)
        else:
            by_payment[sent.transaction_id] += sent.amount
    for transaction_id, total in totals.items():
        by_payment[transaction_id] += total
    for sent in kept("refund_failed"):
        rest = by_payment[sent.transaction_id] - sent.amount
        by_payment[sent.transaction_id] = max(rest, Decimal(0))
    for sent in back("dispute_lost"):
        by_payment[sent.transaction_id] += sent.amount
    return sum(by_payment.values(), Decimal(0))
