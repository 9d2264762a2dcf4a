"""Simulated Adyen: the standard webhook of payments, one signed item in each message.

Written from Adyen's documentation, not from the gateway. A repeat is the same item: it
contains no send time, and nothing else changes.
"""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

#: The event code of each kind.
_CODES: dict[Kind, str] = {
    "paid": "AUTHORISATION",
    "part_paid": "AUTHORISATION",
    "rest_paid": "AUTHORISATION",
    "partial_refund": "REFUND",
    "refund_failed": "REFUND_FAILED",
    "refund": "REFUND",
    "dispute_opened": "NOTIFICATION_OF_CHARGEBACK",
    "dispute_lost": "CHARGEBACK",
    "dispute_won": "CHARGEBACK_REVERSED",
}
KINDS: frozenset[Kind] = frozenset(_CODES)
#: No send time is signed, so no message can be stale.
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "not_ours"})
CURRENCIES = ("EUR", "JPY", "ISK", "KWD")

_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ23456789"
_CENTRAL_EUROPE = timezone(timedelta(hours=1))
_TO_DEFEND = timedelta(days=14)
# By Adyen's table of currencies; two where a currency is in none of these.
_WHOLE = frozenset("CVE DJF GNF IDR JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THOUSANDTHS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def create() -> Account:
    """Make the webhook of a new merchant account."""
    return Account(
        secrets=(secrets.token_hex(32).upper(),),
        options={"merchant_account": f"Simulated{secrets.randbelow(10**6):06}ECOM"},
        private={},
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated Adyen of an account."""
    return _Adyen(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _reference("payment", trade.serial)


class _Adyen:
    def __init__(self, account: Account) -> None:
        self._key = bytes.fromhex(account.secrets[0])
        self._merchant_account = str(account.options["merchant_account"])
        self._live = "true" if account.options.get("live", True) else "false"

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        return self._posted(self._signed(self._item(kind, trade, at), self._key))

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        item = self._item(kind, trade, at)
        key = self._key
        if how == "foreign_key":
            key = hashlib.sha256(key).digest()
        elif how == "not_ours":
            # A genuine message to another merchant account of the same company.
            item["merchantAccountCode"] = f"{self._merchant_account}2"
        item = self._signed(item, key)
        if how == "changed":
            item["amount"]["value"] += 1000
        elif how == "unsigned":
            del item["additionalData"]["hmacSignature"]
        return self._posted(item)

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require the response that the oldest webhooks need as well."""
        return 200 <= status < 300 and body == b"[accepted]"

    def _posted(self, item: dict[str, Any]) -> Posted:
        content = {"live": self._live, "notificationItems": [{"NotificationRequestItem": item}]}
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Adyen HttpClient 1.0",
        }
        return Posted(headers, json.dumps(content, separators=(",", ":")).encode())

    def _signed(self, item: dict[str, Any], key: bytes) -> dict[str, Any]:
        text = ":".join(
            str(part)
            for part in (
                item["pspReference"],
                item.get("originalReference", ""),
                item["merchantAccountCode"],
                item["merchantReference"],
                item["amount"]["value"],
                item["amount"]["currency"],
                item["eventCode"],
                item["success"],
            )
        )
        signature = base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
        return {**item, "additionalData": {**item["additionalData"], "hmacSignature": signature}}

    def _item(self, kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
        if kind not in _CODES:
            raise ValueError(f"Adyen sends no message {kind}")
        item = {
            "additionalData": {},
            "amount": _amount(_told(kind, trade), trade.currency),
            "eventCode": _CODES[kind],
            "eventDate": at.astimezone(_CENTRAL_EUROPE).isoformat(timespec="seconds"),
            "merchantAccountCode": self._merchant_account,
            "merchantReference": trade.order_no,
            "paymentMethod": "mc",
            "pspReference": _reference(_OWN.get(kind, kind), trade.serial),
            "reason": "",
            "success": "true",
        }
        if _CODES[kind] == "AUTHORISATION":
            # A gift card, and a card for what is left; or a card for all of it.
            return item | {
                "additionalData": {
                    "authCode": "073123",
                    "cardSummary": "0008",
                    "expiryDate": "03/2030",
                    "paymentMethodVariant": "mcstandardcredit",
                },
                "operations": ["CANCEL", "CAPTURE", "REFUND"],
                "paymentMethod": "givex" if kind == "part_paid" else "mc",
                "reason": "073123:0008:03/2030",
            }
        item["originalReference"] = _reference("payment", trade.serial)
        if kind.startswith("dispute"):
            ends_at = (at + _TO_DEFEND).astimezone(_CENTRAL_EUROPE).isoformat(timespec="seconds")
            additional = {"chargebackReasonCode": "10.4", "defensePeriodEndsAt": ends_at}
            return item | {"additionalData": additional, "reason": "Other Fraud-Card Absent"}
        return item | {
            "additionalData": {"bookingDate": item["eventDate"]},
            "merchantReference": f"return-{trade.serial}-{2 if kind == 'refund' else 1}",
        }


#: What the number of a message is made of, where it is not its kind: a payment, and a refund and
#: a dispute, which keep theirs.
_OWN: dict[Kind, str] = {
    "paid": "payment",
    "refund_failed": "partial_refund",
    "dispute_opened": "dispute",
    "dispute_lost": "dispute",
    "dispute_won": "dispute",
}


def _told(kind: Kind, trade: Trade) -> Decimal:
    if kind in ("part_paid", "partial_refund", "refund_failed"):
        return trade.refunded
    return trade.amount - trade.refunded if kind in ("rest_paid", "refund") else trade.amount


def _reference(what: str, serial: str) -> str:
    """Make 16 letters and digits as Adyen does, the same for the same input."""
    number = int.from_bytes(hashlib.sha256(f"{what} {serial}".encode()).digest())
    base = len(_ALPHABET)
    return "".join(_ALPHABET[number // base**place % base] for place in range(16))


def _amount(amount: Decimal, currency: str) -> dict[str, Any]:
    digits = 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2
    value = amount.scaleb(digits)
    if value != int(value):
        raise ValueError(f"Adyen has no {amount} {currency}")
    return {"value": int(value), "currency": currency}
