"""Read Adyen's disputes. All messages of one dispute have its ``pspReference``.

The money moves with ``CHARGEBACK`` (it is taken), ``CHARGEBACK_REVERSED`` (it comes back, and may
be taken again) and ``SECOND_CHARGEBACK`` (for good). A chargeback is therefore lost as long as it
is not reversed, whether it is still being defended or not.

Source: https://docs.adyen.com/risk-management/disputes-api/dispute-notifications and its page on
the process and flow of disputes.
"""

from datetime import datetime
from typing import Literal

from gateway.domain import events
from gateway.providers.adyen_items import Additional, Notification
from gateway.providers.shared import fields

State = Literal["opened", "won", "lost"]

STATES: dict[str, State] = {
    "REQUEST_FOR_INFORMATION": "opened",
    "NOTIFICATION_OF_CHARGEBACK": "opened",
    "PREARBITRATION_OPEN": "opened",
    "DISPUTE_OPENED_WITH_CHARGEBACK": "lost",
    "CHARGEBACK": "lost",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
    "SCHEME_ARBITRATION_LOST": "lost",
    "DISPUTE_DEFENSE_PERIOD_ENDED": "lost",  # not defended in time, or accepted
    "CHARGEBACK_REVERSED": "won",
    "PREARBITRATION_WON": "won",
    "SCHEME_ARBITRATION_WON": "won",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",  # the bank accepted the defence or said nothing
}

_CODE_MAX = 40


def read(notification: Notification) -> events.Event:
    """Return the state of a dispute. Raises ``Rejected``."""
    if not notification.is_success:
        return notification.unmapped("a dispute event without success: look it up at Adyen")
    if not notification.item.original_reference:
        return notification.unmapped(
            "a dispute that does not name its payment: for this webhook, under additional settings "
            "and Risk, include the originalReference for CHARGEBACK_REVERSED events"
        )
    if notification.capture == "several":
        return notification.unmapped(
            "a dispute of one of several captures, and Adyen does not sign of which"
        )
    amount, currency = notification.money_back()
    additional = notification.item.additional_data or Additional()
    state = STATES[notification.code]
    return events.Dispute(
        transaction_id=notification.payment,
        order_no="",
        dispute_no=notification.reference,
        amount=amount,
        currency=currency,
        state=state,
        reason=" ".join(_words(notification.code, additional)),
        occurred_at=notification.at,
        due_at=_due_at(additional, notification.at) if state == "opened" else None,
    )


def _words(code: str, additional: Additional) -> list[str]:
    scheme_codes = (additional.chargebackReasonCode, additional.rfiReasonCode)
    return [code] + [
        each for each in scheme_codes if isinstance(each, str) and fields.is_token(each, _CODE_MAX)
    ]


def _due_at(additional: Additional, at: datetime) -> datetime | None:
    due_at = fields.moment_or(additional.defensePeriodEndsAt, at)
    return due_at if due_at > at else None
