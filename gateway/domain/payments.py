"""Money: fold what was paid, refunded, not refunded after all, and disputed. Pure.

Payments of one order add up. What counts as paid, what is owed back and the hold are sums over
all that is known of the order's money, so that they do not depend on the order of arrival.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.domain import events, holds, money, refunds
from gateway.domain.following import (
    DisputeState,
    OrderState,
    ParkReason,
    PaymentState,
    RefundReport,
    Standing,
    Step,
)

_MoneyBack = events.RefundSucceeded | events.RefundFailed | events.Dispute


def pay(
    event: events.PaymentSucceeded,
    order: OrderState | None,
    payment: PaymentState,
    *,
    is_new: bool,
    payments: Sequence[PaymentState],
    takes_parts: bool,
) -> Step:
    """Book a payment to its order. ``payments``: see ``folding.apply``."""
    if not is_new and (contradiction := _contradiction(event, order, payment)):
        return contradiction
    payment.names = _with_names(payment, events.names(event))
    if not is_new and payment.standing != "waiting":
        return Step("repeat")
    if order is None:
        if is_new:
            return Step("waiting")
        if event.order_no and not payment.order_no:
            # The first message of the transaction did not name its order; this one does.
            payment.order_no = event.order_no
            return Step("waiting")
        # The event that waits already carries all of it: a second one adds nothing.
        return Step("repeat")
    payment.order_id = order.id
    if twin := _twin(payment, order, payments):
        payment.standing = "repeat"
        twin.names = _with_names(twin, (payment.transaction_id, *payment.names))
        twin.is_provisional = twin.is_provisional and payment.is_provisional
        return Step("repeat")
    before = order.status
    payment.standing, reason, detail = judge(event, order, takes_parts=takes_parts)
    sum_up(order, payments)
    if reason is not None:
        return Step("parked", before, before, reason, detail, is_change=True)
    return Step("applied", before, before)


def refund(
    event: events.RefundSucceeded | events.RefundFailed,
    order: OrderState | None,
    payment: PaymentState | None,
    *,
    payments: Sequence[PaymentState],
    new_id: Callable[[], UUID],
) -> Step:
    """Book a refund, or that one failed, to its payment and to the order that this paid."""
    if order is None or payment is None or payment.standing == "waiting":
        return Step("waiting")
    before, is_failed = order.status, isinstance(event, events.RefundFailed)
    if fault := _fault_of_money_back(event, order, payment):
        return Step("parked", before, before, *fault)
    report = RefundReport(
        id=new_id(),
        payment_id=payment.id,
        refund_no=event.refund_no,
        amount=event.amount,
        is_total=event.cumulative,
        is_failed=is_failed,
        occurred_at=event.occurred_at,
        is_apart=isinstance(event, events.RefundSucceeded) and event.is_apart,
    )
    known = refunds.of_before(payment, new_id=new_id)
    if any(_is_same(report, each) for each in known):
        return Step("repeat", before, before)
    total = refunds.gone_back((*known, report), payment.disputes)
    is_unchanged = min(total, payment.amount) == payment.refunded
    # The report is kept even where it adds nothing: another one may turn out to have failed.
    payment.refunds, payment.refunded = (*known, report), min(total, payment.amount)
    sum_up(order, payments)
    if total > payment.amount:
        return _exceeding(total, order, payment, is_change=not is_unchanged)
    if is_unchanged and not is_failed:
        return Step("repeat", before, before)
    if is_failed:
        detail = f"refund {event.refund_no} of {_amount(event)} failed: the money is still here"
        return Step("parked", before, before, "refund_failed", detail, is_change=True)
    return Step("applied", before, before)


def dispute(
    event: events.Dispute,
    order: OrderState | None,
    payment: PaymentState | None,
    *,
    payments: Sequence[PaymentState],
    new_id: Callable[[], UUID],
) -> Step:
    """Book a dispute as it stands now. The latest state counts; of one moment, the outcome."""
    if order is None or payment is None or payment.standing == "waiting":
        return Step("waiting")
    before = order.status
    if fault := _fault_of_money_back(event, order, payment):
        return Step("parked", before, before, *fault)
    known = next((d for d in payment.disputes if d.dispute_no == event.dispute_no), None)
    stands = DisputeState(
        id=known.id if known else new_id(),
        payment_id=payment.id,
        dispute_no=event.dispute_no,
        amount=event.amount,
        state=event.state,
        reason=event.reason,
        opened_at=min(known.opened_at, event.occurred_at) if known else event.occurred_at,
        changed_at=event.occurred_at,
        due_at=event.due_at or (known.due_at if known else None),
    )
    if known is not None:
        if _moment(stands) < _moment(known):
            # Told late. Only what the later message did not say can be learned from it.
            stands = msgspec.structs.replace(
                known, opened_at=stands.opened_at, due_at=known.due_at or event.due_at
            )
        if msgspec.structs.replace(stands, changed_at=known.changed_at) == known:
            return Step("repeat", before, before)
    reports = refunds.of_before(payment, new_id=new_id)
    others = tuple(each for each in payment.disputes if each is not known)
    total = refunds.gone_back(reports, (*others, stands))
    payment.refunds, payment.disputes = reports, (*others, stands)
    # More than was paid: both a refund and the dispute took it. The payment has no more to give.
    payment.refunded = min(total, payment.amount)
    sum_up(order, payments)
    if total > payment.amount:
        return _exceeding(total, order, payment, is_change=True)
    return Step("applied", before, before)


def sum_up(order: OrderState, payments: Sequence[PaymentState]) -> None:
    """Set what the order's payments come to: paid, refunded, when it was paid in full, the hold."""
    counted = [
        payment
        for payment in payments
        if payment.order_id == order.id and payment.standing in holds.COUNTED
    ]
    if len(counted) == 1:
        # Nearly every order has one payment.
        order.paid, order.refunded = counted[0].amount, counted[0].refunded
    elif counted:
        order.paid = sum((payment.amount for payment in counted), Decimal(0))
        order.refunded = sum((payment.refunded for payment in counted), Decimal(0))
    if order.paid_at is None and order.paid >= order.payable and counted:
        order.paid_at = _paid_in_full_at(order.payable, counted)
    order.hold = holds.hold_of(order, payments)


def judge(
    event: events.PaymentSucceeded, order: OrderState, *, takes_parts: bool
) -> tuple[Standing, ParkReason | None, str]:
    """Return the standing of a payment that is new to its order, and why a person must look."""
    is_wrong = event.amount != order.payable and not (takes_parts and event.amount)
    if event.currency != order.currency or is_wrong:
        detail = f"paid {_amount(event)}, due {money.named(order.payable, order.currency)}"
        return "mismatch", "amount_mismatch", detail
    if (order.paid_at is not None and order.paid > 0) or order.payable == 0 < event.amount:
        return "duplicate", "duplicate_payment", "another transaction paid already"
    if order.closed_at is not None:
        return "after_close", "paid_after_close", "a refund is owed"
    kept = order.paid - order.refunded + event.amount
    if kept > order.payable:
        paid, due, surplus = (
            money.named(amount, order.currency)
            for amount in (kept, order.payable, kept - order.payable)
        )
        detail = f"paid {paid} in all, due {due}: {surplus} must go back"
        return "applied", "overpaid", detail
    return "applied", None, ""


def _contradiction(
    event: events.PaymentSucceeded, order: OrderState | None, payment: PaymentState
) -> Step | None:
    """Return the step of a message that contradicts an earlier one about its transaction."""
    at = order.status if order is not None else None
    if event.currency != payment.currency or event.amount != payment.amount:
        first = money.named(payment.amount, payment.currency)
        detail = f"paid {_amount(event)}, but {first} when first reported"
        return Step("parked", at, at, "amount_mismatch", detail)
    numbers = {event.order_no, payment.order_no} - {""}
    if len(numbers) > 1 and not (order is not None and all(map(order.has_number, numbers))):
        detail = f"paid order {event.order_no}, but {payment.order_no} when first reported"
        return Step("parked", at, at, "duplicate_payment", detail)
    return None


def _with_names(payment: PaymentState, names: Sequence[str]) -> tuple[str, ...]:
    if len(names) == 1 and names[0] == payment.transaction_id:
        return payment.names
    known = {payment.transaction_id, *payment.names}
    return (*payment.names, *(name for name in dict.fromkeys(names) if name not in known))


def _twin(
    payment: PaymentState, order: OrderState, payments: Iterable[PaymentState]
) -> PaymentState | None:
    """Return the payment that this is, told under another number, if one of them is provisional."""
    for other in payments:
        if (
            other is not payment
            and other.order_id == order.id
            and other.standing not in ("waiting", "repeat")
            and other.source == payment.source
            and (other.currency, other.amount) == (payment.currency, payment.amount)
            and (other.is_provisional or payment.is_provisional)
        ):
            return other
    return None


def _fault_of_money_back(
    event: _MoneyBack,
    order: OrderState,
    payment: PaymentState,
) -> tuple[ParkReason, str] | None:
    if payment.order_id != order.id:
        return "unmapped", f"transaction {payment.transaction_id} paid another order"
    if event.currency != payment.currency:
        paid = money.named(payment.amount, payment.currency)
        return "refund_exceeds_payment", f"refunded {_amount(event)} of {paid}"
    return None


def _exceeding(
    total: Decimal, order: OrderState, payment: PaymentState, *, is_change: bool
) -> Step:
    at = order.status
    went, paid = (money.named(each, payment.currency) for each in (total, payment.amount))
    detail = f"refunded {went} of {paid}"
    return Step("parked", at, at, "refund_exceeds_payment", detail, is_change=is_change)


def _amount(event: events.PaymentSucceeded | _MoneyBack) -> str:
    return money.named(event.amount, event.currency)


def _is_same(one: RefundReport, other: RefundReport) -> bool:
    """Return whether two reports tell the same: a failure once for each refund, the rest in all."""
    if (one.is_failed, one.is_total, one.is_apart, one.refund_no) != (
        other.is_failed, other.is_total, other.is_apart, other.refund_no,
    ):  # fmt: skip
        return False
    if one.is_failed and one.refund_no:
        return True
    return (one.amount, one.occurred_at) == (other.amount, other.occurred_at) and one.is_total


def _moment(dispute: DisputeState) -> tuple[datetime, bool]:
    return dispute.changed_at, dispute.state != "opened"


def _paid_in_full_at(payable: Decimal, counted: Sequence[PaymentState]) -> datetime | None:
    """Return when the payments first came to what is due, in the order in which it happened.

    A payment that went back as a whole counts no more from then on: the buyer took it back, to pay
    another way. A part of one that went back made the order cheaper, and is not due again.
    """
    if len(counted) == 1 and not counted[0].refunds and counted[0].amount >= payable:
        return counted[0].paid_at
    moves: list[tuple[datetime, bool, Decimal]] = []
    for payment in counted:
        moves.append((payment.paid_at, False, payment.amount))
        is_back = False
        told = sorted(payment.refunds, key=lambda report: report.occurred_at)
        if payment.refunded < payment.amount and not any(report.is_failed for report in told):
            continue
        for n, report in enumerate(told, start=1):
            is_whole = refunds.gone_back(told[:n], ()) >= payment.amount
            if is_whole is not is_back:
                at = max(report.occurred_at, payment.paid_at)
                moves.append((at, True, -payment.amount if is_whole else payment.amount))
                is_back = is_whole
    kept = Decimal(0)
    for at, _, amount in sorted(moves, key=lambda move: move[:2]):
        kept += amount
        if kept >= payable:
            return at
    return None
