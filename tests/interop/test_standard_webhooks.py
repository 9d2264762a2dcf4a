"""Standard Webhooks against standardwebhooks and svix, both ways; ``v1a`` against Ed25519 itself.

Neither library knows ``v1a``, so its counterpart is the plain algorithm over the signed text.
"""

import base64
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import standardwebhooks
import svix
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.domain import events
from gateway.providers import standard_webhooks
from ops.simulators import standard_webhooks as simulated
from ops.simulators.contract import Forgery, Kind, Trade
from tests.providers.support import account, message, read_one, rejection

OURS = simulated.create()
SIMULATOR = simulated.simulator(OURS)
ADAPTER = standard_webhooks.adapter(account(*OURS.secrets))
CLIENTS: list[Any] = [standardwebhooks.Webhook(OURS.secrets[0]), svix.Webhook(OURS.secrets[0])]


def trade(currency: str = "EUR") -> Trade:
    return Trade("S1", "SO-1001", Decimal(199), Decimal(9), currency)


@pytest.mark.parametrize("client", CLIENTS, ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("kind", sorted(simulated.KINDS))
def test_the_libraries_verify_what_is_simulated(client: Any, kind: Kind, now: datetime) -> None:
    posted = SIMULATOR.message(kind, trade(), at=now)
    verified = client.verify(posted.body, dict(posted.headers))
    assert verified is None or verified == json.loads(posted.body)
    assert read_one(ADAPTER, message(posted.body, posted.headers, now=now))


@pytest.mark.parametrize("client", CLIENTS, ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("how", sorted(simulated.FORGERIES))
def test_all_reject_what_is_forged(client: Any, how: Forgery, now: datetime) -> None:
    posted = SIMULATOR.forged(how, "paid", trade(), at=now)
    with pytest.raises((standardwebhooks.WebhookVerificationError, svix.WebhookVerificationError)):
        client.verify(posted.body, dict(posted.headers))
    assert rejection(ADAPTER, message(posted.body, posted.headers, now=now))


@pytest.mark.parametrize("client", CLIENTS, ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_what_the_libraries_sign_is_accepted(client: Any, family: str, now: datetime) -> None:
    body = SIMULATOR.message("paid", trade(), at=now).body
    headers = {
        f"{family}-id": "msg_1",
        f"{family}-timestamp": str(int(now.timestamp())),
        f"{family}-signature": client.sign("msg_1", now, body.decode()),
    }
    event = read_one(ADAPTER, message(body, headers, now=now))
    assert isinstance(event, events.PaymentSucceeded)


def test_ed25519_verifies_what_is_simulated(now: datetime) -> None:
    posted = SIMULATOR.message("paid", trade(), at=now, attempt=1)
    version, _, signature = posted.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    public = base64.b64decode(OURS.secrets[1].removeprefix("whpk_"))
    key = Ed25519PublicKey.from_public_bytes(public)
    id_, stamp = posted.headers["webhook-id"], posted.headers["webhook-timestamp"]
    text = f"{id_}.{stamp}.".encode() + posted.body
    key.verify(base64.b64decode(signature), text)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature), text + b" ")
    event = read_one(ADAPTER, message(posted.body, posted.headers, now=now))
    assert isinstance(event, events.PaymentSucceeded)


def test_what_ed25519_signs_is_accepted_and_by_another_key_is_not(now: datetime) -> None:
    body = SIMULATOR.message("paid", trade(), at=now).body
    stamp = str(int(now.timestamp()))
    theirs = Ed25519PrivateKey.from_private_bytes(
        base64.b64decode(OURS.private["key"].removeprefix("whsk_"))[:32]
    )
    for key, is_ours in ((theirs, True), (Ed25519PrivateKey.generate(), False)):
        signature = base64.b64encode(key.sign(f"msg_1.{stamp}.".encode() + body)).decode()
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1a,{signature}",
        }
        if is_ours:
            assert read_one(ADAPTER, message(body, headers, now=now))
        else:
            assert rejection(ADAPTER, message(body, headers, now=now)) == "bad_signature"


@pytest.mark.parametrize("currency", simulated.CURRENCIES)
def test_amounts_arrive_as_they_were_told(currency: str, now: datetime) -> None:
    read = {}
    for kind in sorted(simulated.KINDS):
        posted = SIMULATOR.message(kind, trade(currency), at=now)
        read[kind] = read_one(ADAPTER, message(posted.body, posted.headers, now=now))
    paid, part, rest = read["paid"], read["partial_refund"], read["refund"]
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(part, events.RefundSucceeded)
    assert isinstance(rest, events.RefundSucceeded)
    assert (paid.amount, paid.currency) == (Decimal(199), currency)
    assert (part.amount, rest.amount) == (Decimal(9), Decimal(190))
