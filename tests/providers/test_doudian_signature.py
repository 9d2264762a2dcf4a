"""Whom Doudian's adapter believes."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import doudian

from .doudian_samples import (
    ADAPTER,
    APP_KEY,
    NEXT_SECRET,
    OPTIONS,
    PAID,
    PAID_DATA,
    SECRET,
    item,
    signature,
    signed,
)
from .support import account, header_values, message, rejection, tampered, verdict

HEADERS = dict(PAID.headers)


def test_every_live_secret_counts() -> None:
    """While a secret is exchanged, either one is accepted."""
    both = doudian.adapter(account(NEXT_SECRET, SECRET, **OPTIONS))
    for secret in (SECRET, NEXT_SECRET):
        assert both.read(signed(PAID.body, secret=secret)) == ADAPTER.read(PAID)
    assert rejection(ADAPTER, signed(PAID.body, secret=NEXT_SECRET)) == "bad_signature"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event-sign": None}, "missing_signature"),
        ({"event-sign": ""}, "missing_signature"),
        ({"event-sign": "0" * 32}, "bad_signature"),
        ({"event-sign": HEADERS["event-sign"][:-1]}, "bad_signature"),
        ({"event-sign": HEADERS["event-sign"] + "0"}, "bad_signature"),
        ({"event-sign": HEADERS["event-sign"].upper()}, "bad_signature"),
        ({"event-sign": "\udce4" + HEADERS["event-sign"][1:]}, "bad_signature"),
        ({"app-id": None}, "not_ours"),
        ({"app-id": APP_KEY + "1"}, "not_ours"),
        ({"app-id": "\udce4"}, "not_ours"),
    ],
)
def test_headers(changes: dict[str, str | None], reason: str) -> None:
    """A header that does not prove the body for our app is rejected."""
    headers = {name: value for name, value in (HEADERS | changes).items() if value is not None}
    assert rejection(ADAPTER, message(PAID.body, headers)) == reason


def test_the_request_chooses_no_algorithm() -> None:
    """A signature of another kind is no signature, whatever the headers call it."""
    mac = hashlib.sha256(APP_KEY.encode() + PAID.body + SECRET.encode()).hexdigest()
    for signed_with in (mac, hashlib.md5(PAID.body + SECRET.encode()).hexdigest()):
        headers = HEADERS | {"event-sign": signed_with, "sign-method": "hmac-sha256"}
        assert rejection(ADAPTER, message(PAID.body, headers)) == "bad_signature"


def test_nothing_moves_between_the_parts() -> None:
    """What was signed with one live secret is no message with what moved into the body."""
    tail = "}extended-by-some-more"
    both = doudian.adapter(account(SECRET, tail + SECRET, **OPTIONS))
    longer = PAID.body + tail.encode()
    assert signature(longer) == signature(PAID.body, secret=tail + SECRET)
    assert rejection(both, message(longer, HEADERS | {"event-sign": signature(longer)})) == (
        "malformed"
    )
    # And the other way: a secret that begins as the body ends.
    both = doudian.adapter(account(SECRET, "]" + SECRET, **OPTIONS))
    assert rejection(both, message(PAID.body[:-1], HEADERS)) == "malformed"


def test_app_key_is_never_taken_from_the_request() -> None:
    """A body that begins with the end of another app's key is not read as ours."""
    body = json.dumps([item("101", PAID_DATA)]).encode()
    text = hashlib.md5(APP_KEY[:-1].encode() + body + SECRET.encode()).hexdigest()
    received = message(body, {"app-id": APP_KEY[:-1], "event-sign": text})
    assert rejection(ADAPTER, received) == "not_ours"


@given(tampered(PAID.body))
def test_tampered_bodies_are_rejected(body: bytes) -> None:
    """A body that differs in any byte is rejected."""
    if body != PAID.body:
        assert verdict(ADAPTER, message(body, PAID.headers)) is None


@given(tampered(HEADERS["event-sign"].encode()))
def test_tampered_signatures_are_rejected(header: bytes) -> None:
    """A signature that differs in any character is rejected."""
    text = header.decode("utf-8", "surrogateescape")
    reading = verdict(ADAPTER, message(PAID.body, HEADERS | {"event-sign": text}))
    assert (reading is not None) is (text == HEADERS["event-sign"])


@given(st.binary(max_size=200), header_values, header_values)
def test_any_bytes_are_rejected(body: bytes, sign: str, app_id: str) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    for app in (app_id, APP_KEY):
        assert verdict(ADAPTER, message(body, {"event-sign": sign, "app-id": app})) is None
