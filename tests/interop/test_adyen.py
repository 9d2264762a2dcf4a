"""Adyen's adapter and simulator against Adyen's own library, both ways."""

import json
from decimal import Decimal
from typing import Any

import pytest
from Adyen import util

from gateway.domain import events
from gateway.providers import adyen
from ops.simulators import adyen as simulated
from ops.simulators.contract import Kind, Trade
from tests.providers.adyen_samples import ADAPTER, PAYMENT, REFUND, SECRET, envelope, posted
from tests.providers.support import NOW, account, message, read_one, rejection

OURS = simulated.create()
SIMULATOR = simulated.simulator(OURS)
TRADE = Trade("S1", "SO-1001", Decimal(199), Decimal(9), "EUR")


@pytest.mark.parametrize("kind", sorted(simulated.KINDS))
@pytest.mark.parametrize("currency", simulated.CURRENCIES)
def test_the_library_accepts_what_is_simulated(kind: Kind, currency: str) -> None:
    trade = Trade("S1", "SO-1001", Decimal(199), Decimal(9), currency)
    sent = json.loads(SIMULATOR.message(kind, trade, at=NOW).body)
    assert util.is_valid_hmac_notification(sent, OURS.secrets[0])
    sent["notificationItems"][0]["NotificationRequestItem"]["amount"]["value"] += 1
    assert not util.is_valid_hmac_notification(sent, OURS.secrets[0])


@pytest.mark.parametrize("how", ["foreign_key", "changed"])
def test_the_library_rejects_what_is_forged(how: Any) -> None:
    sent = json.loads(SIMULATOR.forged(how, "paid", TRADE, at=NOW).body)
    assert not util.is_valid_hmac_notification(sent, OURS.secrets[0])


@pytest.mark.parametrize(
    "item",
    [
        PAYMENT,
        REFUND,
        PAYMENT | {"merchantReference": "SO:10:01"},
        PAYMENT | {"merchantReference": "\u8ba2\u5355-1"},
        {name: value for name, value in PAYMENT.items() if name != "merchantReference"},
    ],
    ids=["payment", "refund", "colons", "not_ascii", "no_reference"],
)
def test_what_the_library_signs_is_accepted(item: dict[str, Any]) -> None:
    signature = util.generate_notification_sig(item, SECRET).decode()
    item = item | {"additionalData": {"hmacSignature": signature}}
    assert ADAPTER.read(posted(envelope(item))).items
    changed = item | {"amount": item["amount"] | {"value": 1}}
    assert rejection(ADAPTER, posted(envelope(changed))) == "bad_signature"


def test_what_is_simulated_is_read() -> None:
    """Whole, thousandth and hundredth units: the sent amount is booked."""
    adapter = adyen.adapter(account(*OURS.secrets, **OURS.options))
    for currency in simulated.CURRENCIES:
        trade = Trade("S1", "SO-1001", Decimal(199), Decimal(9), currency)
        read = {
            kind: read_one(adapter, message(posted.body, posted.headers))
            for kind in simulated.KINDS
            if (posted := SIMULATOR.message(kind, trade, at=NOW))
        }
        paid, part, rest = read["paid"], read["partial_refund"], read["refund"]
        assert isinstance(paid, events.PaymentSucceeded)
        assert isinstance(part, events.RefundSucceeded)
        assert isinstance(rest, events.RefundSucceeded)
        assert (paid.order_no, paid.amount, paid.currency) == ("SO-1001", trade.amount, currency)
        assert part.transaction_id == rest.transaction_id == paid.transaction_id
        assert (part.amount, rest.amount) == (trade.refunded, trade.amount - trade.refunded)
