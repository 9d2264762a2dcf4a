"""Shopify's disputes: the buyer's bank takes a payment back, or asks about it.

A message names the order by its id, which is the transaction id of its payment.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import events
from gateway.providers import contract
from gateway.providers.shared import fields, shop_amounts, shop_orders

#: Every documented status. ``charge_refunded``: the shop gave the money back by a refund, which the
#: order lists; the dispute itself took none.
_STATES: Mapping[str, Literal["opened", "won", "lost"]] = {
    "needs_response": "opened",
    "under_review": "opened",
    "won": "won",
    "charge_refunded": "won",
    "accepted": "lost",
    "lost": "lost",
}
_REASON_MAX = 64

#: Fields that only this message has.
NAMES = frozenset({"order_id", "amount", "status", "reason", "evidence_due_by"})


class _Dispute(Struct):
    id: int
    order_id: int
    amount: Decimal
    currency: str
    status: str
    reason: str | None = None
    type: str | None = None
    initiated_at: str | None = None
    finalized_on: str | None = None
    evidence_sent_on: str | None = None
    evidence_due_by: str | None = None


_DISPUTE = msgspec.json.Decoder(_Dispute)
_NEEDED = frozenset({"id", "order_id", "amount", "currency", "status"})


def item(body: bytes, *, digest: str, now: datetime) -> contract.Item:
    """Return the dispute; parked with its name where its status is none that is documented."""
    event = fields.event_or_unmapped(lambda: _event(body, now), kind="dispute", at=now)
    return contract.Item(f"dispute:{digest}", event)


def _event(body: bytes, now: datetime) -> events.Event:
    told = fields.decoded_as_possible(_DISPUTE, body, needed=_NEEDED)
    number = shop_orders.id_text(told.id, giver="Shopify")
    transaction_id = shop_orders.id_text(told.order_id, giver="Shopify")
    state = _STATES.get(told.status)
    if state is None:
        raise fields.malformed(
            f"dispute {number} of order {transaction_id}: the status "
            f"{fields.kind(told.status)} is not documented"
        )
    opened_at = shop_orders.moment_or(now, told.initiated_at)
    return events.Dispute(
        transaction_id=transaction_id,
        order_no="",
        dispute_no=number,
        amount=fields.refund_amount(
            shop_amounts.rounded(told.amount, told.currency), told.currency
        ),
        currency=told.currency,
        state=state,
        reason=fields.kind(told.reason or "")[:_REASON_MAX],
        occurred_at=opened_at if state == "opened" else _closed_at(told, opened_at, now),
        due_at=_due_at(told),
    )


def _closed_at(told: _Dispute, opened_at: datetime, now: datetime) -> datetime:
    """Return when it was decided: after it was opened, whatever the shop's clock says."""
    return max(opened_at, shop_orders.moment_or(now, told.finalized_on, zone=UTC))


def _due_at(told: _Dispute) -> datetime | None:
    if not told.evidence_due_by:
        return None
    never = datetime.max
    at = shop_orders.moment_or(never, told.evidence_due_by)
    return None if at is never else at
