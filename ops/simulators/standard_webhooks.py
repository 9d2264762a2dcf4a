"""A simulated sender of Standard Webhooks 1.0.0: both kinds of signature.

Written from the specification. An account with a private key signs every other attempt with
Ed25519 (``v1a``), the others with HMAC (``v1``), like a sender that moves from one to the other.
"""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

_TYPES: dict[Kind, str] = {
    "paid": "payment.succeeded",
    "part_paid": "payment.succeeded",
    "rest_paid": "payment.succeeded",
    "partial_refund": "refund.succeeded",
    "refund_failed": "refund.failed",
    "refund": "refund.succeeded",
    "dispute_opened": "dispute.opened",
    "dispute_won": "dispute.won",
    "dispute_lost": "dispute.lost",
    "closed": "order.cancelled",
    "accepted": "order.accepted",
    "shipped": "order.shipped",
    "delivered": "order.delivered",
}
KINDS: frozenset[Kind] = frozenset(_TYPES)
#: A message names no account: the key identifies the sender.
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "stale"})
CURRENCIES = ("EUR", "JPY", "KWD")


def create() -> Account:
    """Make an endpoint with a key of each kind."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return Account(
        secrets=(
            "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
            "whpk_" + base64.b64encode(public).decode(),
        ),
        options={},
        private={"key": "whsk_" + base64.b64encode(private + public).decode()},
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated sender. Without a private key everything is signed with HMAC."""
    return _Sender(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return f"txn-{trade.serial}"


class _Sender:
    def __init__(self, account: Account) -> None:
        shared = [secret for secret in account.secrets if secret.startswith("whsec_")]
        self._secret = _bare(shared[0], "whsec_") if shared else None
        self._key = None
        if "key" in account.private:
            seed = _bare(account.private["key"], "whsk_")[:32]
            self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        return self._signed(_id(kind, trade), at, _body(_content(kind, trade, at)), attempt)

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        content = _content(kind, trade, at)
        if how == "stale":
            return self._signed(_id(kind, trade), at - timedelta(days=1), _body(content), 0)
        posted = self._signed(_id(kind, trade), at, _body(content), 0)
        if how == "foreign_key":
            account = Account(("whsec_" + base64.b64encode(bytes(32)).decode(),), {}, {})
            return _Sender(account)._signed(_id(kind, trade), at, posted.body, 0)
        if how == "changed":
            content["data"]["order_no"] += "0"
            return Posted(posted.headers, _body(content))
        if how == "unsigned":
            headers = {k: v for k, v in posted.headers.items() if k != "webhook-signature"}
            return Posted(headers, posted.body)
        return posted

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Require any 2xx, as the specification says."""
        return 200 <= status < 300

    def _signed(self, id_: str, at: datetime, body: bytes, attempt: int) -> Posted:
        stamp = str(int(at.timestamp()))
        text = f"{id_}.{stamp}.".encode() + body
        if self._key is not None and (attempt % 2 or self._secret is None):
            signature = "v1a," + base64.b64encode(self._key.sign(text)).decode()
        elif self._secret is not None:
            signature = "v1," + base64.b64encode(hmac.digest(self._secret, text, "sha256")).decode()
        else:
            raise ValueError("neither a whsec_ secret nor a whsk_ key to sign with")
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": stamp,
            "webhook-signature": signature,
        }
        return Posted(headers, body)


def _bare(text: str, prefix: str) -> bytes:
    text = text.removeprefix(prefix)
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _id(kind: Kind, trade: Trade) -> str:
    """Return the id that stays the same over the retries of one message."""
    return "msg_" + hashlib.sha256(f"{kind} {trade.serial}".encode()).hexdigest()[:26]


def _body(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def _content(kind: Kind, trade: Trade, at: datetime) -> dict[str, Any]:
    if kind not in _TYPES:
        raise ValueError(f"there is no message {kind}")
    data: dict[str, Any] = {"order_no": trade.order_no}
    rest = trade.amount - trade.refunded
    match kind:
        case "paid":
            data |= _money(trade, trade.amount)
        case "part_paid":
            data |= _money(trade, trade.refunded, "-a")
        case "rest_paid":
            data |= _money(trade, rest, "-b")
        case "partial_refund" | "refund_failed":
            data |= _money(trade, trade.refunded) | {"refund_no": f"txn-{trade.serial}-1"}
        case "refund":
            data |= _money(trade, rest) | {"refund_no": f"txn-{trade.serial}-2"}
        case "dispute_opened" | "dispute_won" | "dispute_lost":
            data |= _money(trade, trade.amount) | {"dispute_no": f"dispute-{trade.serial}"}
        case "accepted":
            data |= {"reference": f"WMS-{trade.serial}"}
        case "shipped":
            data |= {"carrier": "dhl", "tracking_no": f"JD{trade.serial}"}
        case "delivered":
            data |= {"tracking_no": f"JD{trade.serial}"}
    timestamp = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"type": _TYPES[kind], "timestamp": timestamp, "data": data}


def _money(trade: Trade, amount: Decimal, ending: str = "") -> dict[str, str]:
    transaction_id = f"txn-{trade.serial}{ending}"
    return {
        "transaction_id": transaction_id,
        "amount": str(amount),
        "currency": trade.currency,
    }
