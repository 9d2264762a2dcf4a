"""Whom Youzan's adapter believes."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import youzan

from .support import account, header_values, message, rejection, tampered, verdict
from .youzan_samples import (
    ADAPTER,
    CLIENT_ID,
    CLOSE,
    NEXT_SECRET,
    OPTIONS,
    PAID,
    SECRET,
    body,
    pushed,
    signature,
    signed,
)

HEADERS = dict(PAID.headers)


def test_every_live_secret_counts() -> None:
    """While a secret is exchanged, either one is accepted."""
    both = youzan.adapter(account(NEXT_SECRET, SECRET, **OPTIONS))
    for secret in (SECRET, NEXT_SECRET):
        assert both.read(signed(PAID.body, secret=secret)) == ADAPTER.read(PAID)
    assert rejection(ADAPTER, signed(PAID.body, secret=NEXT_SECRET)) == "bad_signature"


def test_client_id_header_may_be_absent() -> None:
    """Our client_id is signed, whether or not a header repeats it."""
    headers = {"event-sign": HEADERS["Event-Sign"]}
    assert ADAPTER.read(message(PAID.body, headers)) == ADAPTER.read(PAID)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Event-Sign": None}, "missing_signature"),
        ({"Event-Sign": ""}, "missing_signature"),
        ({"Event-Sign": "0" * 32}, "bad_signature"),
        ({"Event-Sign": HEADERS["Event-Sign"][:-1]}, "bad_signature"),
        ({"Event-Sign": HEADERS["Event-Sign"].upper()}, "bad_signature"),
        ({"Event-Sign": "\udce4" + HEADERS["Event-Sign"][1:]}, "bad_signature"),
        ({"Client-Id": CLIENT_ID + "1"}, "not_ours"),
        ({"Client-Id": "\udce4"}, "not_ours"),
    ],
)
def test_headers(changes: dict[str, str | None], reason: str) -> None:
    """A header that does not prove the body for our app is rejected."""
    headers = {name: value for name, value in (HEADERS | changes).items() if value is not None}
    assert rejection(ADAPTER, message(PAID.body, headers)) == reason


@pytest.mark.parametrize(
    "changes",
    [{"kdt_id": 63078}, {"kdt_id": None}, {"kdt_id": 10**30}, {"client_id": "another"}],
)
def test_other_shops_and_apps(changes: dict[str, object]) -> None:
    """A true message about another shop or for another app is not ours."""
    assert rejection(ADAPTER, pushed("trade_TradeClose", CLOSE, **changes)) == "not_ours"


def test_sign_inside_the_body_is_no_signature() -> None:
    """The older sign covers ``msg`` alone: with it anybody could change the type."""
    content = json.loads(PAID.body)
    text = CLIENT_ID + content["msg"] + SECRET
    content["sign"] = hashlib.md5(text.encode()).hexdigest()
    received = message(json.dumps(content).encode(), {"Client-Id": CLIENT_ID})
    assert rejection(ADAPTER, received) == "missing_signature"
    headers = HEADERS | {"Event-Sign": content["sign"]}
    assert rejection(ADAPTER, message(PAID.body, headers)) == "bad_signature"
    # Nor is the bare msg a body, under a signature that was made for it.
    bare = message(content["msg"].encode(), headers)
    assert rejection(ADAPTER, bare) == "malformed"


def test_nothing_moves_between_the_parts() -> None:
    """What was signed with one live secret is no message with what moved into the body."""
    tail = "}extended-by-some-more"
    both = youzan.adapter(account(SECRET, tail + SECRET, **OPTIONS))
    longer = PAID.body + tail.encode()
    assert signature(longer) == signature(PAID.body, secret=tail + SECRET)
    assert rejection(both, signed(longer)) == "malformed"
    both = youzan.adapter(account(SECRET, "}" + SECRET, **OPTIONS))
    assert rejection(both, message(PAID.body[:-1], HEADERS)) == "malformed"


def test_repeat_has_the_same_key() -> None:
    """What Youzan counts and renumbers on a repeat does not make another message of it."""
    again = signed(body("trade_TradeClose", CLOSE, sendCount=3, msg_id="another", sign="another"))
    first = pushed("trade_TradeClose", CLOSE)
    assert ADAPTER.read(again) == ADAPTER.read(first)


@pytest.mark.parametrize("changes", [{"version": 2}, {"type": "trade_TradeSuccess"}])
def test_other_messages_have_other_keys(changes: dict[str, object]) -> None:
    """Two messages that do not say the same never share a key, even under one msg_id."""
    (first,) = ADAPTER.read(pushed("trade_TradeClose", CLOSE)).items
    (other,) = ADAPTER.read(pushed("trade_TradeClose", CLOSE, **changes)).items
    assert first.key != other.key


@given(tampered(PAID.body))
def test_tampered_bodies_are_rejected(content: bytes) -> None:
    """A body that differs in any byte is rejected."""
    if content != PAID.body:
        assert verdict(ADAPTER, message(content, PAID.headers)) is None


@given(tampered(HEADERS["Event-Sign"].encode()))
def test_tampered_signatures_are_rejected(header: bytes) -> None:
    """A signature that differs in any character is rejected."""
    text = header.decode("utf-8", "surrogateescape")
    reading = verdict(ADAPTER, message(PAID.body, HEADERS | {"Event-Sign": text}))
    assert (reading is not None) is (text == HEADERS["Event-Sign"])


@given(st.binary(max_size=200), header_values, header_values)
def test_any_bytes_are_rejected(content: bytes, sign: str, client_id: str) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    for client in (client_id, CLIENT_ID):
        received = message(content, {"Event-Sign": sign, "Client-Id": client})
        assert verdict(ADAPTER, received) is None
