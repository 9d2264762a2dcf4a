"""Read PayPal's disputes: claims of buyers, and chargebacks of their banks.

PayPal disputes a transaction once at a time, and tells the money of a lost dispute a second time as
``PAYMENT.CAPTURE.REVERSED``, which names no dispute. Both are therefore one dispute here, under the
number of the capture; PayPal's number of the case is in the reason.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers.paypal_resources import Amount, Merchant, Occurred, money
from gateway.providers.shared import fields

State = Literal["opened", "won", "lost"]

#: Every documented status of a dispute; None: the outcome says what became of it.
STATUSES: dict[str, State | None] = {
    "OPEN": "opened",
    "WAITING_FOR_BUYER_RESPONSE": "opened",
    "WAITING_FOR_SELLER_RESPONSE": "opened",
    "UNDER_REVIEW": "opened",
    "OTHER": "opened",
    "RESOLVED": None,
}

#: Every documented outcome; None: no effect.
OUTCOMES: dict[str, State | None] = {
    "RESOLVED_BUYER_FAVOUR": "lost",
    "ACCEPTED": "lost",  # the buyer's claim was
    "RESOLVED_SELLER_FAVOUR": "won",
    "DENIED": "won",  # the buyer's claim was
    "CANCELED_BY_BUYER": "won",
    "RESOLVED_WITH_PAYOUT": "won",  # PayPal's protection paid the buyer
    "NONE": None,  # another dispute of the same transaction goes on in its place
}

_TRANSACTIONS_MAX = 100
_WORD_MAX = 60


class _Transaction(Struct):
    #: The capture.
    seller_transaction_id: str | None = None
    gross_amount: Amount | None = None
    seller: object = None


class _Outcome(Struct):
    outcome_code: object = None
    #: What the buyer gets back, by the merchant or by PayPal.
    amount_refunded: Amount | None = None


class _Dispute(Struct):
    disputed_transactions: list[_Transaction]
    dispute_id: object = None
    status: object = None
    reason: object = None
    dispute_amount: Amount | None = None
    dispute_outcome: _Outcome | None = None
    seller_response_due_date: object = None


_DISPUTE = msgspec.json.Decoder(_Dispute)


def read(occurred: Occurred) -> Sequence[events.Event]:
    """Return the dispute of each transaction. Raises ``Rejected``."""
    dispute = fields.decoded(_DISPUTE, occurred.resource)
    transactions = dispute.disputed_transactions
    if not 1 <= len(transactions) <= _TRANSACTIONS_MAX:
        raise fields.malformed(f"a dispute of {len(transactions)} transactions")
    for transaction in transactions:
        occurred.check_merchant(fields.part(transaction.seller, Merchant))
    status = "RESOLVED" if occurred.kind.endswith(".RESOLVED") else dispute.status or "OPEN"
    if not isinstance(status, str) or status not in STATUSES:
        return [occurred.undocumented("the status of the dispute", status)]
    state = STATUSES[status]
    outcome = dispute.dispute_outcome or _Outcome()
    if state is None:
        code = outcome.outcome_code
        if not isinstance(code, str) or code not in OUTCOMES:
            return [occurred.undocumented("the outcome of the dispute", code)]
        state = OUTCOMES[code]
    if state is None:
        return [occurred.noted()]
    return [
        _event(occurred, dispute, transaction, state, outcome, is_only=len(transactions) == 1)
        for transaction in transactions
    ]


def _event(
    occurred: Occurred,
    dispute: _Dispute,
    transaction: _Transaction,
    state: State,
    outcome: _Outcome,
    *,
    is_only: bool,
) -> events.Dispute:
    if not transaction.seller_transaction_id:
        raise fields.malformed("a dispute that does not name the capture")
    capture_id = fields.transaction_id(transaction.seller_transaction_id)
    told = [transaction.gross_amount]
    if is_only:
        # Of one transaction: the buyer may dispute a part of it, and get back another part.
        told.insert(0, dispute.dispute_amount)
        if state == "lost":
            told.insert(0, outcome.amount_refunded)
    amount, currency = _first(told)
    return events.Dispute(
        transaction_id=capture_id,
        order_no="",
        dispute_no=capture_id,
        amount=amount,
        currency=currency,
        state=state,
        reason=" ".join(_words(dispute.dispute_id, dispute.reason)),
        occurred_at=occurred.at,
        due_at=_moment(dispute.seller_response_due_date) if state == "opened" else None,
    )


def _first(told: Sequence[Amount | None]) -> tuple[Decimal, str]:
    """Return the first amount that is one and not zero. Raises ``Rejected`` if there is none."""
    for amount in told:
        if amount is not None:
            value, currency = money(amount)
            if value:
                return value, currency
    raise fields.malformed("a dispute without an amount")


def _words(*found: object) -> list[str]:
    return [word for word in found if isinstance(word, str) and fields.is_token(word, _WORD_MAX)]


def _moment(found: object) -> datetime | None:
    try:
        return fields.moment(msgspec.convert(found, datetime))
    except (msgspec.ValidationError, errors.Rejected):
        return None
