"""What went back of a payment: all reports of its refunds, and its disputes, as one sum. Pure.

Providers tell refunds one by one, or as the total so far; some fail days later. The sum is a
function of the reports, whatever the order in which they arrive.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from uuid import UUID

from gateway.domain.following import DisputeState, PaymentState, RefundReport


def gone_back(reports: Iterable[RefundReport], disputes: Iterable[DisputeState]) -> Decimal:
    """Return how much of a payment is with the buyer again, in major units.

    Reports are taken in the order of when they happened. A total replaces what was known if it is
    more; a refund of its own is added; a failed one takes itself back, or comes off the total that
    stood when it failed. What is told last of a refund counts: one that failed may succeed later,
    under the same number. What went back another way is in no total of the provider's, and comes
    on top, unless the provider tells of the same refund. A lost dispute went back as well.
    """
    every = list(reports)
    total = _told(each for each in every if not each.is_apart)
    if any(each.is_apart for each in every):
        told = {each.refund_no for each in every if not (each.is_apart or each.is_failed)} - {""}
        total += _told(each for each in every if each.is_apart and each.refund_no not in told)
    return total + sum((each.amount for each in disputes if each.state == "lost"), Decimal(0))


def _told(reports: Iterable[RefundReport]) -> Decimal:
    told = sorted(reports, key=lambda report: (report.occurred_at, report.is_failed))
    last = {report.refund_no: report for report in told if not report.is_total}
    total = Decimal(0)
    for report in told:
        if report.is_total:
            less = max(total - report.amount, Decimal(0))
            total = less if report.is_failed else max(total, report.amount)
        elif not report.is_failed and (not report.refund_no or last[report.refund_no] is report):
            total += report.amount
    return total


def of_before(payment: PaymentState, *, new_id: Callable[[], UUID]) -> tuple[RefundReport, ...]:
    """Return the reports of a payment, with one more for what only its sum has.

    That was refunded when only the sum was kept, or told to a gateway that keeps no more. It is a
    total where totals are told: later ones replace it. Otherwise it is a refund of its own.
    """
    lost = sum((each.amount for each in payment.disputes if each.state == "lost"), Decimal(0))
    told = gone_back(payment.refunds, ())
    if payment.refunded <= min(told + lost, payment.amount):
        return payment.refunds
    is_total = all(each.is_total for each in payment.refunds)
    report = RefundReport(
        id=new_id() if payment.refunds else payment.id,
        payment_id=payment.id,
        refund_no="",
        amount=payment.refunded - lost - (0 if is_total else told),
        is_total=is_total,
        is_failed=False,
        occurred_at=max((each.occurred_at for each in payment.refunds), default=payment.paid_at),
    )
    return (*payment.refunds, report)
