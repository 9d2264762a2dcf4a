"""PayPal's adapter and simulator against PayPal's own library, retired as it is.

The whole of ``WebhookEvent.verify`` runs: only its request for the certificate is answered here,
and the roots it trusts are replaced by the simulator's. It has nothing that signs; what it makes
of a message to compare a signature with is signed with the OpenSSL that it uses.
"""

import base64
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import errors, events
from gateway.providers import contract, paypal, paypal_roots
from ops.simulators import paypal as simulated
from ops.simulators.contract import Kind, Posted, Trade
from tests.interop.elsewhere import Elsewhere
from tests.providers.support import message, read_one

ACCOUNT = simulated.create()
SIMULATOR = simulated.simulator(ACCOUNT)
TRADE = Trade("S1", "SO-1001", Decimal("199.00"), Decimal("9.00"), "USD")
ROOTS = str(ACCOUNT.options["roots"])
CHAINS = ACCOUNT.options["chains"]
assert isinstance(CHAINS, dict)
((URL, CHAIN),) = CHAINS.items()

_VERIFY = """
import json, sys, tempfile
from unittest import mock
from paypalrestsdk import WebhookEvent

given = json.load(sys.stdin)
root = tempfile.NamedTemporaryFile("w")
root.write(given["root"]); root.flush()
WebhookEvent._WebhookEvent__cert_chain_path = [root.name]
results = []
for message in given["messages"]:
    h = {name.lower(): value for name, value in message["headers"].items()}
    with mock.patch("paypalrestsdk.notifications.requests.get") as get:
        get.return_value.text = given["chain"]
        results.append(WebhookEvent.verify(
            h["paypal-transmission-id"], h["paypal-transmission-time"], given["webhook_id"],
            message["body"], h["paypal-cert-url"], h["paypal-transmission-sig"],
            h["paypal-auth-algo"],
        ))
        assert get.call_args.args == (given["url"],)
print(json.dumps(results))
"""

_SIGN = """
import base64, json, sys
from OpenSSL import crypto
from paypalrestsdk import WebhookEvent

given = json.load(sys.stdin)
key = crypto.load_privatekey(crypto.FILETYPE_PEM, given["key"])
text = WebhookEvent._get_expected_sig(
    given["transmission"], given["time"], given["webhook_id"], given["body"]
)
print(json.dumps(base64.b64encode(crypto.sign(key, text.encode(), "sha256")).decode()))
"""

_ROOTS = """
import json, os, paypalrestsdk
folder = os.path.join(os.path.dirname(paypalrestsdk.__file__), "data")
print(json.dumps(open(os.path.join(folder, "DigiCertHighAssuranceEVRootCA.crt.pem")).read()))
"""


def _verified(elsewhere: Elsewhere, *sent: Posted) -> list[bool]:
    results: list[bool] = elsewhere.run(
        _VERIFY,
        root=ROOTS,
        chain=CHAIN,
        url=URL,
        webhook_id=ACCOUNT.secrets[0],
        messages=[{"headers": dict(one.headers), "body": one.body.decode()} for one in sent],
    )
    return results


def _adapter(**options: Any) -> contract.Adapter:
    return paypal.adapter(
        contract.Account("shop", ACCOUNT.secrets, {**ACCOUNT.options, **options}, ("web",))
    )


def _read(posted: Posted, *, now: datetime, **options: Any) -> events.Event:
    return read_one(_adapter(**options), message(posted.body, posted.headers, now=now))


def test_the_library_verifies_what_we_simulate(elsewhere: Elsewhere, now: datetime) -> None:
    """Genuine messages of every kind, and none of the forged ones that it can detect."""
    kinds: tuple[Kind, ...] = ("paid", "partial_refund", "refund")
    true = [SIMULATOR.message(kind, TRADE, at=now) for kind in kinds]
    again = SIMULATOR.message("paid", TRADE, at=now, attempt=1)
    assert again.headers["PAYPAL-TRANSMISSION-ID"] != true[0].headers["PAYPAL-TRANSMISSION-ID"]
    forged = [
        SIMULATOR.forged("foreign_key", "paid", TRADE, at=now),
        SIMULATOR.forged("changed", "paid", TRADE, at=now),
        SIMULATOR.forged("not_ours", "paid", TRADE, at=now),
        SIMULATOR.message("probe", TRADE, at=now),
    ]
    results = _verified(elsewhere, *true, again, *forged)
    assert results == [True] * 4 + [False] * 4


def test_the_library_and_the_adapter_agree_on_a_certificate(
    elsewhere: Elsewhere, now: datetime
) -> None:
    """Both reject an untrusted root."""
    stranger = simulated.create()
    posted = simulated.simulator(
        msgspec.structs.replace(stranger, secrets=ACCOUNT.secrets)
    ).message("paid", TRADE, at=now)
    posted = Posted({**posted.headers, "PAYPAL-CERT-URL": URL}, posted.body)
    assert _verified(elsewhere, posted) == [False]
    with pytest.raises(errors.Rejected):
        _read(posted, now=now)
    with pytest.raises(errors.Rejected):
        _read(
            SIMULATOR.message("paid", TRADE, at=now), now=now, roots=str(stranger.options["roots"])
        )


def test_we_accept_what_the_library_signs(elsewhere: Elsewhere, now: datetime) -> None:
    """The text is the library's own, of a body that is not ASCII and whose checksum is large."""
    body = SIMULATOR.message("paid", TRADE, at=now).body.decode()
    body = body.replace('"summary":"', '"summary":"付款 ')
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = elsewhere.run(
        _SIGN,
        key=ACCOUNT.private["key"],
        transmission="dfb3be50-fd74-11e4-8bf3-77339302725b",
        time=time,
        webhook_id=ACCOUNT.secrets[0],
        body=body,
    )
    assert base64.b64decode(signature)
    posted = Posted(
        {
            "Paypal-Transmission-Id": "dfb3be50-fd74-11e4-8bf3-77339302725b",
            "Paypal-Transmission-Time": time,
            "Paypal-Transmission-Sig": signature,
            "Paypal-Auth-Algo": "SHA256withRSA",
            "Paypal-Cert-Url": URL,
        },
        body.encode(),
    )
    assert isinstance(_read(posted, now=now), events.PaymentSucceeded)


def test_we_accept_what_we_simulate(now: datetime) -> None:
    """Paid, then a part back, then the rest: the amounts add up, the numbers belong together."""
    paid = _read(SIMULATOR.message("paid", TRADE, at=now), now=now)
    part = _read(SIMULATOR.message("partial_refund", TRADE, at=now), now=now)
    rest = _read(SIMULATOR.message("refund", TRADE, at=now), now=now)
    assert isinstance(paid, events.PaymentSucceeded)
    assert isinstance(part, events.RefundSucceeded)
    assert isinstance(rest, events.RefundSucceeded)
    assert (paid.order_no, paid.amount) == ("SO-1001", Decimal("199.00"))
    assert part.amount + rest.amount == paid.amount
    assert paid.transaction_id == part.transaction_id == rest.transaction_id
    assert part.refund_no != rest.refund_no


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "980"), ("HUF", "1500"), ("EUR", "0.07")])
def test_currencies(currency: str, amount: str, now: datetime) -> None:
    """Currencies without decimals at PayPal come as whole numbers, and with ISO's decimals here."""
    trade = Trade("S2", "SO-2", Decimal(amount), Decimal(0), currency)
    posted = SIMULATOR.message("paid", trade, at=now)
    assert json.loads(posted.body)["resource"]["amount"]["value"] == amount
    event = _read(posted, now=now)
    assert isinstance(event, events.PaymentSucceeded)
    assert (event.amount, event.currency) == (Decimal(amount), currency)


def test_the_default_roots_hold_the_librarys(elsewhere: Elsewhere) -> None:
    """Whom PayPal's own library trusts, an account without options trusts too."""
    theirs = elsewhere.run(_ROOTS)
    lines = [line for line in theirs.splitlines() if line and not line.startswith("--")]
    assert "".join(lines) in paypal_roots.TRUSTED.replace("\n", "")
