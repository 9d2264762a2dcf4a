"""The Standard Webhooks adapter, with the ``standardwebhooks`` library as the counterpart.

The library reads the real clock while it verifies; the tests put theirs in its place. It knows
no ``v1a``: for that there is one answer known from the specification's Go library, and
beyond it the tests sign with ``cryptography``, which the adapter verifies with as well, so
they show that the parts are put together rightly, not that another implementation agrees.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import webhooks as sdk_module

from gateway.domain import events
from gateway.providers import contract, standard_webhooks

from .standard_webhooks_samples import (
    ADAPTER,
    ASYMMETRIC,
    AT,
    ID,
    NEXT_SECRET,
    PAID,
    PAYMENT,
    PRIVATE_KEY,
    PUBLIC_SECRET,
    SECRET,
    SHIPMENT,
    content,
    ed25519_entry,
    hmac_entry,
    signed,
)
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

SDK = standardwebhooks.Webhook(SECRET)


@pytest.fixture
def sdk_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the tests' time in the place of the library's clock."""

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return NOW.astimezone(tz)

    monkeypatch.setattr(sdk_module, "datetime", Fixed)


def is_accepted_by_sdk(received: contract.Message) -> bool:
    try:
        SDK.verify(received.body, dict(received.headers), json_parse=False)
    except Exception:  # the library lets decoding errors of all kinds escape
        return False
    return True


def test_accepts_what_the_library_signs() -> None:
    """A signature of the library over non-ASCII text is accepted."""
    body = json.dumps(content("order.shipped", SHIPMENT), ensure_ascii=False)
    headers = {
        "Webhook-Id": ID,
        "Webhook-Timestamp": str(NOW_S),
        "Webhook-Signature": SDK.sign(ID, NOW, body),
    }
    assert read_one(ADAPTER, message(body.encode(), headers)) == events.Shipped(
        "SO-1001", "顺丰速运", "SF1234567890", AT
    )


@pytest.mark.usefixtures("sdk_clock")
def test_library_accepts_what_these_tests_sign() -> None:
    """The tests sign as the library does."""
    assert is_accepted_by_sdk(PAID)


@pytest.mark.usefixtures("sdk_clock")
@pytest.mark.parametrize("offset_s", [-301, -300, 300, 301])
def test_window_is_the_librarys(offset_s: int) -> None:
    """300 seconds are allowed both ways, exactly as the library allows them."""
    received = signed(content("payment.succeeded", PAYMENT), at=NOW_S + offset_s)
    assert is_accepted_by_sdk(received) is (abs(offset_s) <= 300)
    if abs(offset_s) <= 300:
        assert ADAPTER.read(received).items
    else:
        assert rejection(ADAPTER, received) == "stale"


def test_v1a_known_answer() -> None:
    """The signature that the specification's Go library expects in its own test is accepted."""
    # standard-webhooks/standard-webhooks, libraries/go/webhook_asymmetric_test.go
    seed = base64.b64decode("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    adapter = standard_webhooks.adapter(account("whpk_" + base64.b64encode(public).decode()))
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYU"
        "uxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
    }
    then = datetime.fromtimestamp(1614265330, UTC)
    # The body of that test is no event: it passes the signature and fails as content.
    assert rejection(adapter, message(b'{"test": 2432232314}', headers, now=then)) == "malformed"
    assert (
        rejection(adapter, message(b'{"test": 2432232315}', headers, now=then)) == "bad_signature"
    )


def test_v1a_reads_the_same_message() -> None:
    """A message signed with Ed25519 reads like the same one signed with HMAC."""
    received = signed(content("payment.succeeded", PAYMENT), entry=ed25519_entry)
    assert ASYMMETRIC.read(received) == ADAPTER.read(PAID)


def test_the_key_decides_the_version() -> None:
    """A request cannot choose the algorithm: each key checks its own version only."""
    assert rejection(ASYMMETRIC, PAID) == "bad_signature"
    assert rejection(ADAPTER, signed(PAID.body, entry=ed25519_entry)) == "bad_signature"
    # Signed with the public key as if it were a shared secret.
    public = PRIVATE_KEY.public_key().public_bytes_raw()
    forged = signed(PAID.body, entry=lambda text: hmac_entry(text, public))
    assert rejection(ASYMMETRIC, forged) == "bad_signature"
    relabelled = signed(PAID.body, entry=lambda text: hmac_entry(text).replace("v1,", "v1a,"))
    assert rejection(ADAPTER, relabelled) == "bad_signature"


def test_every_live_key_and_entry_counts() -> None:
    """While a key is rotated either one is accepted, of either kind, at any place in the list."""
    both = standard_webhooks.adapter(account(NEXT_SECRET, SECRET))
    mixed = standard_webhooks.adapter(account(SECRET, PUBLIC_SECRET))
    assert both.read(PAID).items
    assert mixed.read(PAID).items
    assert mixed.read(signed(PAID.body, entry=ed25519_entry)).items
    many = signed(PAID.body, entry=lambda text: f"v1,AAAA v2,x v1a {hmac_entry(text)} v1a,!")
    assert both.read(many).items
    flood = signed(PAID.body, entry=lambda text: "v1,AAAA " * 8 + hmac_entry(text))
    assert rejection(ADAPTER, flood) == "bad_signature"


def test_svix_headers() -> None:
    """The same three headers are taken under svix's names; a stray one of ours hides none."""
    svix = signed(PAID.body, family="svix")
    assert ADAPTER.read(svix) == ADAPTER.read(PAID)
    for stray in ({"webhook-id": ID}, {"webhook-id": ID, "webhook-timestamp": "1"}):
        assert ADAPTER.read(message(svix.body, dict(svix.headers) | stray)) == ADAPTER.read(PAID)
    no_id = {name: value for name, value in svix.headers.items() if name != "svix-id"}
    assert rejection(ADAPTER, message(svix.body, no_id | {"webhook-id": ID})) == "missing_signature"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"webhook-id": ""}, "missing_signature"),
        ({"webhook-timestamp": ""}, "missing_signature"),
        ({"webhook-signature": ""}, "missing_signature"),
        ({"webhook-id": "msg_2"}, "bad_signature"),
        ({"webhook-id": "msg\udce4"}, "bad_signature"),
        ({"webhook-timestamp": str(NOW_S + 1)}, "bad_signature"),
        ({"webhook-timestamp": f"{NOW_S}.0"}, "bad_signature"),
        ({"webhook-timestamp": "nan"}, "bad_signature"),
        ({"webhook-timestamp": "\u0661"}, "bad_signature"),
        ({"webhook-timestamp": "9" * 13}, "bad_signature"),
        ({"webhook-signature": "v1"}, "bad_signature"),
        ({"webhook-signature": "v1,"}, "bad_signature"),
        ({"webhook-signature": "v1,!!!"}, "bad_signature"),
        ({"webhook-signature": "v1,\u00e9"}, "bad_signature"),
    ],
)
def test_headers(changes: Mapping[str, str], reason: str) -> None:
    """Headers that do not prove the body are rejected."""
    received = message(PAID.body, {**PAID.headers, **changes})
    assert rejection(ADAPTER, received) == reason


def test_no_headers() -> None:
    """A request without any of the headers is rejected."""
    assert rejection(ADAPTER, message(PAID.body, {})) == "missing_signature"


def test_id_must_not_hold_a_dot() -> None:
    """An id with a dot is rejected although its signature is right: the text is ambiguous."""
    assert rejection(ADAPTER, signed(PAID.body, key="msg.1")) == "bad_signature"
    moved = signed(b"%d.%b" % (NOW_S, PAID.body), key="msg", at=1)
    headers = {**moved.headers, "webhook-id": "msg.1", "webhook-timestamp": str(NOW_S)}
    assert rejection(ADAPTER, message(PAID.body, headers)) == "bad_signature"


@pytest.mark.parametrize("key", ["a b", "a" * 129])
def test_id_must_be_storable(key: str) -> None:
    """An id that could not be a key is rejected."""
    assert rejection(ADAPTER, signed(PAID.body, key=key)) == "malformed"


@given(tampered(PAID.body), st.sampled_from([ADAPTER, ASYMMETRIC]))
def test_tampered_bodies_are_rejected(body: bytes, adapter: contract.Adapter) -> None:
    """A body that differs in any byte is rejected, with either kind of key."""
    headers = signed(PAID.body, entry=ed25519_entry if adapter is ASYMMETRIC else hmac_entry)
    if body != PAID.body:
        assert verdict(adapter, message(body, headers.headers)) is None


@given(st.sampled_from(sorted(PAID.headers)), st.booleans(), st.data())
def test_tampered_headers_never_change_the_message(
    name: str, is_asymmetric: bool, data: st.DataObject
) -> None:
    """A modified header is rejected, or verifies the same message."""
    adapter = ASYMMETRIC if is_asymmetric else ADAPTER
    received = signed(PAID.body, entry=ed25519_entry if is_asymmetric else hmac_entry)
    value = data.draw(tampered(received.headers[name].encode())).decode("utf-8", "surrogateescape")
    reading = verdict(adapter, message(received.body, {**received.headers, name: value}))
    assert reading in (None, adapter.read(PAID) if adapter is ADAPTER else adapter.read(received))


@pytest.mark.usefixtures("sdk_clock")
def test_never_accepts_what_the_library_rejects() -> None:
    """Whatever header is tampered with: what the adapter accepts, the library accepts."""

    @given(st.sampled_from(sorted(PAID.headers)), st.data())
    def check(name: str, data: st.DataObject) -> None:
        value = data.draw(tampered(PAID.headers[name].encode())).decode("utf-8", "surrogateescape")
        received = message(PAID.body, {**PAID.headers, name: value})
        if verdict(ADAPTER, received):
            assert is_accepted_by_sdk(received)

    check()


@given(st.binary(max_size=200), header_values, header_values, header_values)
def test_any_bytes_are_rejected(body: bytes, key: str, stamp: str, signature: str) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    headers = {"webhook-id": key, "webhook-timestamp": stamp, "svix-signature": "v1,AA=="}
    for received in (headers, headers | {"webhook-signature": signature}):
        assert verdict(ADAPTER, message(body, received)) is None
        assert verdict(ASYMMETRIC, message(body, received)) is None


def test_unpadded_secret() -> None:
    """A key shown without its padding is the same key, as it is to the library."""
    bare = SECRET.rstrip("=")
    assert bare != SECRET
    assert standard_webhooks.adapter(account(bare)).read(PAID) == ADAPTER.read(PAID)
    assert standardwebhooks.Webhook(bare).sign(ID, NOW, "x") == SDK.sign(ID, NOW, "x")


def test_window_is_an_option() -> None:
    """tolerance_s narrows the window, counted from the time the message brings along."""
    adapter = standard_webhooks.adapter(account(SECRET, tolerance_s=30))
    tokyo = (NOW + timedelta(seconds=31)).astimezone(timezone(timedelta(hours=9)))
    assert rejection(adapter, contract.Message(PAID.headers, PAID.body, tokyo)) == "stale"
    assert adapter.read(PAID).items
