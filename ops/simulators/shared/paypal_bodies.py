"""What PayPal tells of captures, refunds and disputes, as its documentation shows them.

Captures and refunds are of Payments v2, disputes of Disputes v1. The same trade has the same
numbers in all its messages.
"""

import hashlib
import json
import string
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Kind, Trade

API = "https://api.paypal.com"
KINDS: frozenset[Kind] = frozenset(
    {
        "paid",
        "part_paid",
        "rest_paid",
        "partial_refund",
        "refund_failed",
        "refund",
        "dispute_opened",
        "dispute_won",
        "dispute_lost",
    }
)

_ALPHABET = string.ascii_uppercase + string.digits
_WHOLE = frozenset({"HUF", "JPY", "TWD"})
_TO_ANSWER = timedelta(days=10)

#: Event, status and outcome of a dispute.
_DISPUTES: dict[Kind, tuple[str, str, str]] = {
    "dispute_opened": ("CREATED", "WAITING_FOR_SELLER_RESPONSE", ""),
    "dispute_won": ("RESOLVED", "RESOLVED", "RESOLVED_SELLER_FAVOUR"),
    "dispute_lost": ("RESOLVED", "RESOLVED", "RESOLVED_BUYER_FAVOUR"),
}


def number(what: str, serial: str) -> str:
    """Make a number of PayPal's kind, the same for the same input."""
    made = int.from_bytes(hashlib.sha256(f"{what} {serial}".encode()).digest())
    return "".join(_ALPHABET[made // 36**place % 36] for place in range(17))


class Bodies:
    """The messages about trades of one merchant."""

    def __init__(self, *, merchant_id: str, order_no_field: str) -> None:
        self._merchant_id = merchant_id
        self._order_no_field = order_no_field

    def body(self, kind: Kind, trade: Trade, at: datetime) -> bytes:
        """Return the body of a message. Raises ``ValueError`` for a kind that PayPal has not."""
        name, resource_type, resource = self._resource(kind, trade, at)
        event_id = (
            f"WH-{number('event', f'{kind} {trade.serial}')}-{number('notice', trade.serial)}"
        )
        event = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "resource_type": resource_type,
            **({} if resource_type == "dispute" else {"resource_version": "2.0"}),
            "event_type": name,
            "summary": f"{name} of a simulated order",
            "resource": resource,
            "links": [
                _link(f"/v1/notifications/webhooks-events/{event_id}", "self"),
                _link(f"/v1/notifications/webhooks-events/{event_id}/resend", "resend", "POST"),
            ],
        }
        return json.dumps(event, separators=(",", ":")).encode()

    def _resource(self, kind: Kind, trade: Trade, at: datetime) -> tuple[str, str, dict[str, Any]]:
        part, rest = trade.refunded, trade.amount - trade.refunded
        captures = {"paid": trade.amount, "probe": trade.amount, "part_paid": part}
        captures["rest_paid"] = rest
        if kind in captures:
            capture = self._capture(kind, captures[kind], trade, at)
            return "PAYMENT.CAPTURE.COMPLETED", "capture", capture
        if kind == "partial_refund":
            return "PAYMENT.CAPTURE.REFUNDED", "refund", self._refund(1, part, part, trade, at)
        if kind == "refund":
            refund = self._refund(2, rest, trade.amount, trade, at)
            return "PAYMENT.CAPTURE.REFUNDED", "refund", refund
        if kind == "refund_failed":
            refund = self._refund(1, part, Decimal(0), trade, at) | {"status": "FAILED"}
            return "PAYMENT.REFUND.FAILED", "refund", refund
        if kind in _DISPUTES:
            event, status, outcome = _DISPUTES[kind]
            return f"CUSTOMER.DISPUTE.{event}", "dispute", self._dispute(status, outcome, trade, at)
        raise ValueError(f"PayPal sends no message {kind}")

    def _capture(self, kind: Kind, amount: Decimal, trade: Trade, at: datetime) -> dict[str, Any]:
        capture = _capture_no(trade) if kind in ("paid", "probe") else number(kind, trade.serial)
        order = number("order", trade.serial)
        currency = trade.currency
        return {
            "id": capture,
            "status": "COMPLETED",
            "amount": _money(amount, currency),
            "final_capture": kind != "part_paid",
            "payee": {
                "email_address": "merchant@business.example.com",
                "merchant_id": self._merchant_id,
            },
            "seller_protection": {
                "status": "ELIGIBLE",
                "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
            },
            "seller_receivable_breakdown": {
                "gross_amount": _money(amount, currency),
                "paypal_fee": _money(Decimal(1), currency),
                "net_amount": _money(max(amount - 1, Decimal(0)), currency),
            },
            "supplementary_data": {"related_ids": {"order_id": order}},
            **self._numbers(trade),
            "create_time": _seconds(at),
            "update_time": _seconds(at),
            "links": [
                _link(f"/v2/payments/captures/{capture}", "self"),
                _link(f"/v2/payments/captures/{capture}/refund", "refund", "POST"),
                _link(f"/v2/checkout/orders/{order}", "up"),
            ],
        }

    def _refund(
        self, n: int, amount: Decimal, total: Decimal, trade: Trade, at: datetime
    ) -> dict[str, Any]:
        refund = number(f"refund {n}", trade.serial)
        return {
            "id": refund,
            "status": "COMPLETED",
            "amount": _money(amount, trade.currency),
            "note_to_payer": "Returned goods",
            "payer": {
                "email_address": "merchant@business.example.com",
                "merchant_id": self._merchant_id,
            },
            "seller_payable_breakdown": {
                "gross_amount": _money(amount, trade.currency),
                "paypal_fee": _money(Decimal(0), trade.currency),
                "net_amount": _money(amount, trade.currency),
                "total_refunded_amount": _money(total, trade.currency),
            },
            **self._numbers(trade),
            "create_time": _seconds(at),
            "update_time": _seconds(at),
            "links": [
                _link(f"/v2/payments/refunds/{refund}", "self"),
                _link(f"/v2/payments/captures/{_capture_no(trade)}", "up"),
            ],
        }

    def _dispute(self, status: str, outcome: str, trade: Trade, at: datetime) -> dict[str, Any]:
        amount = _money(trade.amount, trade.currency)
        case = f"PP-D-{int(hashlib.sha256(trade.serial.encode()).hexdigest(), 16) % 10**8:08}"
        dispute: dict[str, Any] = {
            "dispute_id": case,
            "create_time": _seconds(at),
            "update_time": _seconds(at),
            "disputed_transactions": [
                {
                    "seller_transaction_id": _capture_no(trade),
                    "gross_amount": amount,
                    "seller": {"merchant_id": self._merchant_id, "name": "Simulated Store"},
                    "seller_protection_eligible": True,
                }
            ],
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": status,
            "dispute_amount": amount,
            "dispute_life_cycle_stage": "CHARGEBACK",
            "dispute_channel": "INTERNAL",
            "seller_response_due_date": _seconds(at + _TO_ANSWER),
            "links": [_link(f"/v1/customer/disputes/{case}", "self")],
        }
        if outcome:
            back = (
                amount if outcome.endswith("BUYER_FAVOUR") else _money(Decimal(0), trade.currency)
            )
            dispute["dispute_outcome"] = {"outcome_code": outcome, "amount_refunded": back}
        return dispute

    def _numbers(self, trade: Trade) -> dict[str, str]:
        numbers = {"invoice_id": f"INV-{trade.serial}", "custom_id": f"cart-{trade.serial}"}
        return numbers | {self._order_no_field: trade.order_no}


def _capture_no(trade: Trade) -> str:
    return number("capture", trade.serial)


def _link(path: str, rel: str, method: str = "GET") -> dict[str, str]:
    return {"href": API + path, "rel": rel, "method": method}


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    unit = Decimal(1) if currency in _WHOLE else Decimal("0.01")
    if amount % unit:
        raise ValueError(f"PayPal has no {amount} {currency}")
    return {"currency_code": currency, "value": f"{amount.quantize(unit):f}"}


def _seconds(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
