"""Stripe's adapter, with Stripe's own library as the counterpart.

``stripe.WebhookSignature`` signs what the adapter must accept, and ``stripe.Webhook`` checks
what the tests sign. Its age check reads the real clock and is switched off (tolerance 0);
it has no check of the future at all, so the window is tested here alone.
"""

import hmac
import json
from datetime import timedelta

import pytest
import stripe as sdk
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import contract, stripe

from .stripe_samples import ADAPTER, INTENT, NEXT_SECRET, PAID, SECRET, event, signature, signed
from .support import (
    NOW,
    NOW_S,
    account,
    header_values,
    message,
    read_one,
    rejection,
    tampered,
    verdict,
)


def test_accepts_what_the_official_library_signs() -> None:
    """A header of the official library over non-ASCII text is accepted."""
    body = json.dumps(event("payment_intent.succeeded", INTENT, note="付款"), ensure_ascii=False)
    header = sdk.WebhookSignature.generate_signature_header(body, SECRET, NOW_S)
    assert read_one(ADAPTER, message(body.encode(), {"stripe-signature": header}))


def test_official_library_accepts_what_these_tests_sign() -> None:
    """The tests sign as Stripe does: its library constructs the event."""
    header = PAID.headers["Stripe-Signature"]
    built = sdk.Webhook.construct_event(PAID.body, header, SECRET, tolerance=0)
    assert built.id == ADAPTER.read(PAID).items[0].key


@given(tampered(PAID.headers["Stripe-Signature"].encode()), tampered(PAID.body), st.data())
def test_never_accepts_what_the_official_library_rejects(
    header: bytes, body: bytes, data: st.DataObject
) -> None:
    """Whatever is tampered with: what the adapter accepts, the official library accepts."""
    header, body = data.draw(
        st.sampled_from(
            [(header, PAID.body), (PAID.headers["Stripe-Signature"].encode(), body), (header, body)]
        )
    )
    text = header.decode("utf-8", "surrogateescape")
    if verdict(ADAPTER, message(body, {"Stripe-Signature": text})):
        assert sdk.WebhookSignature.verify_header(body, text, SECRET, tolerance=0)


@pytest.mark.parametrize(
    ("offset_s", "reason"), [(-301, "stale"), (-300, None), (0, None), (300, None), (301, "stale")]
)
def test_window(offset_s: int, reason: str | None) -> None:
    """300 seconds are allowed in the past and in the future, both ends included."""
    received = signed(event("payment_intent.succeeded", INTENT), at=NOW_S + offset_s)
    if reason:
        assert rejection(ADAPTER, received) == reason
    else:
        assert ADAPTER.read(received).items


def test_window_is_an_option() -> None:
    """tolerance_s narrows the window."""
    received = signed(event("payment_intent.succeeded", INTENT), at=NOW_S - 31)
    assert rejection(stripe.adapter(account(SECRET, tolerance_s=30)), received) == "stale"


def test_every_live_secret_counts() -> None:
    """While a secret is rolled, either one is accepted, and either of two v1 signatures."""
    both = stripe.adapter(account(NEXT_SECRET, SECRET))
    body = PAID.body
    for secret in (SECRET, NEXT_SECRET):
        assert both.read(signed(body, secret=secret)).items
    old = signature(body).removeprefix(f"t={NOW_S},")
    new = signature(body, secret=NEXT_SECRET)
    received = message(body, {"Stripe-Signature": f"{new},{old},v0=00,unknown"})
    assert ADAPTER.read(received).items
    assert rejection(ADAPTER, signed(body, secret=NEXT_SECRET)) == "bad_signature"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "missing_signature"),
        ("", "missing_signature"),
        ("t=1", "missing_signature"),
        (PAID.headers["Stripe-Signature"].replace("v1=", "v0="), "missing_signature"),
        (PAID.headers["Stripe-Signature"].split(",")[1], "missing_signature"),
        (f"t={NOW_S}," + PAID.headers["Stripe-Signature"], "missing_signature"),
        (PAID.headers["Stripe-Signature"].replace("t=", "t=+"), "bad_signature"),
        (PAID.headers["Stripe-Signature"].replace("t=", "t=0"), "bad_signature"),
        ("t=99999999999999999999,v1=00", "bad_signature"),
        ("t=\u0661,v1=00", "bad_signature"),
        (f"t={NOW_S},v1=\udce4", "bad_signature"),
        (f"t={NOW_S},v1=", "bad_signature"),
        (PAID.headers["Stripe-Signature"].upper().replace("T=", "t="), "missing_signature"),
    ],
)
def test_headers(header: str | None, reason: str) -> None:
    """A header that does not prove the body is rejected."""
    headers = {} if header is None else {"Stripe-Signature": header}
    assert rejection(ADAPTER, message(PAID.body, headers)) == reason


def test_secret_is_the_whole_text() -> None:
    """The key is the text with its prefix; the text without it proves nothing."""
    mac = hmac.new(SECRET[6:].encode(), b"%d.%b" % (NOW_S, PAID.body), "sha256").hexdigest()
    received = message(PAID.body, {"Stripe-Signature": f"t={NOW_S},v1={mac}"})
    assert rejection(ADAPTER, received) == "bad_signature"


@given(tampered(PAID.body))
def test_tampered_bodies_are_rejected(body: bytes) -> None:
    """A body that differs in any byte is rejected."""
    if body != PAID.body:
        assert verdict(ADAPTER, message(body, PAID.headers)) is None


@given(tampered(PAID.headers["Stripe-Signature"].encode()))
def test_tampered_headers_never_change_the_message(header: bytes) -> None:
    """A modified header is rejected, or verifies the same message."""
    text = header.decode("utf-8", "surrogateescape")
    reading = verdict(ADAPTER, message(PAID.body, {"Stripe-Signature": text}))
    assert reading in (None, ADAPTER.read(PAID))


@given(st.binary(max_size=200), header_values)
def test_any_bytes_are_rejected(body: bytes, header: str) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    assert verdict(ADAPTER, message(body, {"Stripe-Signature": header})) is None


def test_late_clock_is_not_read() -> None:
    """The only clock is the message's: a year later the same message is stale."""
    later = contract.Message(PAID.headers, PAID.body, NOW + timedelta(days=365))
    assert rejection(ADAPTER, later) == "stale"
