"""PayPal's adapter: who signed, for whom, when, and with a certificate of whose.

The counterpart that PayPal itself wrote is in ``tests/interop/test_paypal.py``.
"""

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import errors
from gateway.providers import contract

from .paypal_samples import (
    ADAPTER,
    CHAIN,
    FOREIGN_KEY,
    KEY,
    NEXT_WEBHOOK_ID,
    PAID,
    URL,
    WEBHOOK_ID,
    headers,
    learned,
    paid,
    signed,
    unlearned,
)
from .support import NOW, header_values, message, rejection, tampered, verdict

BODY = PAID.body
HEADERS = headers(BODY)


def test_the_checksum_is_unsigned_decimal() -> None:
    """The published example of a CRC-32 above 2^31, as PayPal's text has it."""
    body = b"123456789"
    received = message(body, HEADERS | {"Paypal-Transmission-Sig": _signature(b"3421780262")})
    assert rejection(ADAPTER, received) == "malformed"  # true, and no event
    for wrong in (b"cbf43926", b"-873187034", b"03421780262", b""):
        received = message(body, HEADERS | {"Paypal-Transmission-Sig": _signature(wrong)})
        assert rejection(ADAPTER, received) == "bad_signature"


def _signature(checksum: bytes) -> str:
    text = "|".join(
        (HEADERS["Paypal-Transmission-Id"], HEADERS["Paypal-Transmission-Time"], WEBHOOK_ID)
    )
    signature = KEY.sign(text.encode() + b"|" + checksum, padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()


def test_every_live_webhook_id_counts() -> None:
    """While a webhook is replaced, either id is accepted; otherwise only its own."""
    both = learned(NEXT_WEBHOOK_ID, WEBHOOK_ID)
    for webhook_id in (WEBHOOK_ID, NEXT_WEBHOOK_ID):
        assert both.read(signed(paid(), webhook_id=webhook_id)).items
    assert rejection(ADAPTER, signed(paid(), webhook_id=NEXT_WEBHOOK_ID)) == "bad_signature"


def test_simulated_events_are_probes() -> None:
    """What PayPal's console sends is truly PayPal's, made up, and rejected."""
    assert rejection(ADAPTER, signed(paid(), webhook_id="WEBHOOK_ID")) == "probe"
    forged = signed(paid(), webhook_id="WEBHOOK_ID", key=FOREIGN_KEY)
    assert rejection(ADAPTER, forged) == "bad_signature"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Transmission-Id", None, "missing_signature"),
        ("Transmission-Time", None, "missing_signature"),
        ("Transmission-Sig", "", "missing_signature"),
        ("Cert-Url", None, "missing_signature"),
        ("Auth-Algo", None, "unsupported"),
        ("Auth-Algo", "SHA1withRSA", "unsupported"),
        ("Auth-Algo", "sha256withrsa", "unsupported"),
        ("Auth-Algo", "none", "unsupported"),
        ("Transmission-Id", "another", "bad_signature"),
        ("Transmission-Id", "a|b", "bad_signature"),
        ("Transmission-Id", "a" * 101, "bad_signature"),
        ("Transmission-Id", "\udce4", "bad_signature"),
        ("Transmission-Time", "2026-11-23T12:00:01Z", "bad_signature"),
        ("Transmission-Time", "2026-11-23T12:00:00+00:00", "bad_signature"),
        ("Transmission-Time", "2026-11-23 12:00:00Z", "bad_signature"),
        ("Transmission-Time", "1795435200", "bad_signature"),
        ("Transmission-Time", "\u0662026-11-23T12:00:00Z", "bad_signature"),
        ("Transmission-Sig", "####", "bad_signature"),
        ("Transmission-Sig", "\udce4", "bad_signature"),
        ("Transmission-Sig", "AAAA", "bad_signature"),
        ("Transmission-Sig", HEADERS["Paypal-Transmission-Sig"][:-4], "bad_signature"),
        ("Transmission-Sig", HEADERS["Paypal-Transmission-Sig"] + "\n", "bad_signature"),
        ("Transmission-Sig", HEADERS["Paypal-Transmission-Sig"].rstrip("="), "bad_signature"),
    ],
)
def test_headers(name: str, value: str | None, reason: str) -> None:
    """A header that does not prove the body is rejected."""
    sent = {k: v for k, v in HEADERS.items() if k != f"Paypal-{name}"}
    if value is not None:
        sent[f"Paypal-{name}"] = value
    assert rejection(ADAPTER, message(BODY, sent)) == reason


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/cert",
        "HTTPS://api.paypal.com/cert",
        "https://api.paypal.com",
        "https://api.paypal.com/",
        "https://api.paypal.com:443/cert",
        "https://api.paypal.com:8443/cert",
        "https://user@api.paypal.com/cert",
        "https://api.paypal.com@evil.example/cert",
        "https://api.paypal.com/cert?at=evil.example",
        "https://api.paypal.com/cert#evil",
        "https://api.paypal.com/cert\\@evil.example",
        "https://api.paypal.com\\.evil.example/cert",
        "https://api.paypal.com.evil.example/cert",
        "https://evilapi.paypal.com/cert",
        "https://evil.example/api.paypal.com/cert",
        "https://paypal.com/cert",
        "https://www.paypal.com/cert",
        "https://API.paypal.com/cert",
        "https://api.paypal.com./cert",
        "https://api.p\u0430ypal.com/cert",
        "https://api.paypal.com/\u00e9",
        "https://api.paypal.com/%2e%2e/cert",
        "https://api.paypal.com/cert\n",
        " https://api.paypal.com/cert",
        "https://api.paypal.com/" + "a" * 400,
        "https://127.0.0.1/cert",
        "https://[::1]/cert",
        "//api.paypal.com/cert",
        "file:///etc/passwd",
    ],
)
def test_only_paypals_addresses_are_asked_for(url: str) -> None:
    """Whatever is not exactly https, one of the hosts and a plain path is never fetched."""
    received = message(BODY, headers(BODY, url=url))
    assert rejection(unlearned(), received) == "bad_signature"
    with pytest.raises(errors.Rejected):
        ADAPTER.learn(url, CHAIN.encode(), now=NOW)


@pytest.mark.parametrize(
    ("environment", "host", "is_ours"),
    [
        ("live", "api.paypal.com", True),
        ("live", "api-m.paypal.com", True),
        ("live", "api.sandbox.paypal.com", False),
        ("live", "api-m.sandbox.paypal.com", False),
        ("sandbox", "api.sandbox.paypal.com", True),
        ("sandbox", "api-m.sandbox.paypal.com", True),
        ("sandbox", "api.paypal.com", False),
        ("sandbox", "api-m.paypal.com", False),
    ],
)
def test_environments_are_kept_apart(environment: str, host: str, is_ours: bool) -> None:
    """Play money never counts as money, nor the other way round."""
    url = f"https://{host}/v1/notifications/certs/CERT-1"
    adapter, received = unlearned(environment=environment), signed(paid(), url=url)
    if not is_ours:
        assert rejection(adapter, received) == "not_ours"
        return
    with pytest.raises(contract.DocumentMissing) as caught:
        adapter.read(received)
    assert caught.value.url == url
    adapter.learn(url, CHAIN.encode(), now=NOW)
    assert adapter.read(received).items


DAYS_3 = 3 * 86_400


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [(-300_001, "stale"), (-300_000, None), (-DAYS_3, None), (300_000, None), (300_001, "stale")],
)
def test_window(offset_s: int, reason: str | None) -> None:
    """The last retry of three days is still fresh, whatever time it carries."""
    received = signed(paid(), at=NOW + timedelta(seconds=offset_s))
    if reason:
        assert rejection(ADAPTER, received) == reason
    else:
        assert ADAPTER.read(received).items


def test_window_is_an_option() -> None:
    """tolerance_s narrows the window."""
    received = signed(paid(), at=NOW - timedelta(seconds=301))
    assert rejection(learned(tolerance_s=300), received) == "stale"


@pytest.mark.parametrize("time", ["2026-13-23T12:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_time_that_no_calendar_has(time: str) -> None:
    """A true signature over an impossible time is rejected."""
    assert rejection(ADAPTER, signed(paid(), time=time)) == "malformed"


@pytest.mark.parametrize(
    "time", ["2026-11-23T12:00:00.123456789Z", "2026-11-23T20:00:00+08:00", "2026-11-23T12:00:00Z"]
)
def test_times_are_signed_as_they_are_written(time: str) -> None:
    """Fractions and zones are taken as ISO 8601 has them."""
    assert ADAPTER.read(signed(paid(), time=time)).items


@settings(max_examples=200)
@given(tampered(BODY))
def test_tampered_bodies_are_rejected(body: bytes) -> None:
    """A body that differs in any byte is rejected."""
    if body != BODY:
        assert verdict(ADAPTER, message(body, HEADERS)) is None


def test_written_again_is_rejected() -> None:
    """The same JSON in other bytes is another message."""
    again = json.dumps(json.loads(BODY), separators=(",", ":")).encode()
    assert rejection(ADAPTER, message(again, HEADERS)) == "bad_signature"


@settings(max_examples=200)
@given(st.sampled_from([name for name in HEADERS if name != "Paypal-Cert-Url"]), st.data())
def test_tampered_headers_never_change_the_message(name: str, data: st.DataObject) -> None:
    """A modified header is rejected, or verifies the same message."""
    bent = data.draw(tampered(HEADERS[name].encode())).decode("utf-8", "surrogateescape")
    reading = verdict(ADAPTER, message(BODY, HEADERS | {name: bent}))
    assert reading in (None, ADAPTER.read(PAID))


@settings(max_examples=200)
@given(tampered(URL.encode()))
def test_tampered_addresses_prove_nothing(url: bytes) -> None:
    """Another address is rejected, or asked for where it is PayPal's; it never proves."""
    bent = url.decode("utf-8", "surrogateescape")
    try:
        reading = verdict(ADAPTER, message(BODY, HEADERS | {"Paypal-Cert-Url": bent}))
    except contract.DocumentMissing as missing:
        assert missing.url.startswith(("https://api.paypal.com/", "https://api-m.paypal.com/"))
        return
    assert reading is None or bent == URL


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(list(HEADERS)), header_values)
def test_any_bytes_are_rejected(body: bytes, name: str, value: str) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    assert verdict(ADAPTER, message(body, HEADERS | {name: value})) is None


def test_parts_cannot_be_shifted() -> None:
    """What was signed for one id and time proves no other cut of the same text."""
    body = BODY
    true = headers(body, transmission="a-b")
    shifted = true | {
        "Paypal-Transmission-Id": "a",
        "Paypal-Transmission-Time": f"b|{true['Paypal-Transmission-Time']}",
    }
    assert verdict(ADAPTER, message(body, true)) is not None
    assert rejection(ADAPTER, message(body, shifted)) == "bad_signature"
