"""Stripe's simulator against Stripe's own library; the adapter against what the library signs."""

from datetime import datetime
from decimal import Decimal

import pytest
import stripe as sdk

from gateway.domain import events
from gateway.providers import stripe
from ops.simulators import stripe as simulated
from ops.simulators.contract import Forgery, Kind, Trade
from tests.providers.support import account, message, read_one, rejection

OURS = simulated.create()
SIMULATOR = simulated.simulator(OURS)
ADAPTER = stripe.adapter(account(*OURS.secrets, **OURS.options))


def trade(currency: str = "EUR") -> Trade:
    return Trade("S1", "SO-1001", Decimal(199), Decimal(9), currency)


@pytest.mark.parametrize("kind", sorted(simulated.KINDS))
def test_the_library_constructs_what_is_simulated(kind: Kind, now: datetime) -> None:
    posted = SIMULATOR.message(kind, trade(), at=now)
    signature = posted.headers["Stripe-Signature"]
    event = sdk.Webhook.construct_event(posted.body, signature, OURS.secrets[0])
    assert event.type.startswith(("payment_intent.", "charge.", "refund."))
    (item,) = ADAPTER.read(message(posted.body, posted.headers, now=now)).items
    # Up to three events tell of one refund that failed.
    told = event.data.object
    assert item.key == (f"{told.id}:failed" if told.object == "refund" else event.id)


@pytest.mark.parametrize("how", ["foreign_key", "changed", "unsigned", "stale"])
def test_both_reject_what_is_forged(how: Forgery, now: datetime) -> None:
    posted = SIMULATOR.forged(how, "paid", trade(), at=now)
    with pytest.raises(sdk.SignatureVerificationError):
        sdk.Webhook.construct_event(
            posted.body, posted.headers["Stripe-Signature"], OURS.secrets[0]
        )
    assert rejection(ADAPTER, message(posted.body, posted.headers, now=now))


def test_what_the_library_signs_is_accepted_with_either_secret(now: datetime) -> None:
    """Both secrets sign while the endpoint's secret is rolled."""
    posted = SIMULATOR.message("paid", trade(), at=now)
    old, new = OURS.secrets[0], simulated.create().secrets[0]
    both = stripe.adapter(account(new, old))
    for secret in (old, new):
        header = sdk.WebhookSignature.generate_signature_header(
            posted.body.decode(), secret, int(now.timestamp())
        )
        payment = read_one(both, message(posted.body, {"Stripe-Signature": header}, now=now))
        assert isinstance(payment, events.PaymentSucceeded)


@pytest.mark.parametrize("currency", simulated.CURRENCIES)
def test_amounts_arrive_in_the_unit_of_their_currency(currency: str, now: datetime) -> None:
    """No decimals, three, and none though sent with two."""
    read = {}
    for kind in sorted(simulated.KINDS):
        posted = SIMULATOR.message(kind, trade(currency), at=now)
        read[kind] = read_one(ADAPTER, message(posted.body, posted.headers, now=now))
    paid, part, whole, closed = (
        read[kind] for kind in ("paid", "partial_refund", "refund", "closed")
    )
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(part, events.RefundSucceeded)
    assert isinstance(whole, events.RefundSucceeded)
    assert isinstance(closed, events.Closed)
    assert (paid.amount, paid.currency) == (Decimal(199), currency)
    assert (part.amount, whole.amount) == (Decimal(9), Decimal(199))
    assert part.transaction_id == paid.transaction_id
