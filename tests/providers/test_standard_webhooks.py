"""The Standard Webhooks adapter, with the ``standardwebhooks`` library as the counterpart.

The library reads the real clock while it verifies; the tests put theirs in its place. It knows
no ``v1a``: for that there is one answer known from the specification's Go library, and
beyond it the tests sign with ``cryptography``, which the adapter verifies with as well, so
they show that the parts are put together rightly, not that another implementation agrees.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import webhooks as sdk_module

from gateway.domain import events
from gateway.providers import contract, standard_webhooks

from .support import (
    NOW,
    NOW_S,
    account,
    bent,
    header_values,
    message,
    read_one,
    refusal,
    tampered,
    verdict,
)

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(KEY[::-1]).decode()
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(KEY)
PUBLIC_SECRET = "whpk_" + base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()
ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"

ADAPTER = standard_webhooks.adapter(account(SECRET))
ASYMMETRIC = standard_webhooks.adapter(account(PUBLIC_SECRET))
SDK = standardwebhooks.Webhook(SECRET)

AT = datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
PAYMENT: dict[str, Any] = {
    "order_no": "SO-1001",
    "transaction_id": "TX-1",
    "amount": "199.00",
    "currency": "CNY",
}
REFUND: dict[str, Any] = {
    "order_no": "SO-1001",
    "transaction_id": "TX-1",
    "refund_no": "R-1",
    "amount": "9.00",
    "currency": "CNY",
}
SHIPMENT = {"order_no": "SO-1001", "carrier": "顺丰速运", "tracking_no": "SF1234567890"}


def content(kind: str, data: Any, **changes: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": "2026-11-23T19:30:00+08:00", "data": data} | changes


def hmac_entry(text: bytes, key: bytes = KEY) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def ed25519_entry(text: bytes) -> str:
    return "v1a," + base64.b64encode(PRIVATE_KEY.sign(text)).decode()


def signed(
    said: Any,
    *,
    key: str = ID,
    at: int = NOW_S,
    entry: Callable[[bytes], str] = hmac_entry,
    family: str = "webhook",
) -> contract.Message:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return message(
        body,
        {
            f"{family}-id": key,
            f"{family}-timestamp": str(at),
            f"{family}-signature": entry(b"%b.%d.%b" % (key.encode(), at, body)),
        },
    )


PAID = signed(content("payment.succeeded", PAYMENT))


@pytest.fixture
def sdk_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the tests' time in the place of the library's clock."""

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return NOW.astimezone(tz)

    monkeypatch.setattr(sdk_module, "datetime", Fixed)


def is_accepted_by_sdk(said: contract.Message) -> bool:
    try:
        SDK.verify(said.body, dict(said.headers), json_parse=False)
    except Exception:  # noqa: BLE001 - the library lets decoding errors of all kinds escape
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
    said = signed(content("payment.succeeded", PAYMENT), at=NOW_S + offset_s)
    assert is_accepted_by_sdk(said) is (abs(offset_s) <= 300)
    if abs(offset_s) <= 300:
        assert ADAPTER.read(said).items
    else:
        assert refusal(ADAPTER, said) == "stale"


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
    assert refusal(adapter, message(b'{"test": 2432232314}', headers, now=then)) == "malformed"
    assert refusal(adapter, message(b'{"test": 2432232315}', headers, now=then)) == "bad_signature"


def test_v1a_reads_the_same_message() -> None:
    """A message signed with Ed25519 reads like the same one signed with HMAC."""
    said = signed(content("payment.succeeded", PAYMENT), entry=ed25519_entry)
    assert ASYMMETRIC.read(said) == ADAPTER.read(PAID)


def test_the_key_decides_the_version() -> None:
    """A request can not choose the algorithm: each key checks its own version only."""
    assert refusal(ASYMMETRIC, PAID) == "bad_signature"
    assert refusal(ADAPTER, signed(PAID.body, entry=ed25519_entry)) == "bad_signature"
    # Signed with the public key as if it were a shared secret.
    public = PRIVATE_KEY.public_key().public_bytes_raw()
    forged = signed(PAID.body, entry=lambda text: hmac_entry(text, public))
    assert refusal(ASYMMETRIC, forged) == "bad_signature"
    relabelled = signed(PAID.body, entry=lambda text: hmac_entry(text).replace("v1,", "v1a,"))
    assert refusal(ADAPTER, relabelled) == "bad_signature"


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
    assert refusal(ADAPTER, flood) == "bad_signature"


def test_svix_headers() -> None:
    """The same three headers are taken under svix's names, but never mixed."""
    svix = signed(PAID.body, family="svix")
    assert ADAPTER.read(svix) == ADAPTER.read(PAID)
    mixed = dict(svix.headers) | {"webhook-id": ID}
    assert refusal(ADAPTER, message(svix.body, mixed)) == "missing_signature"


def test_payment() -> None:
    """A payment is read exactly, its time is the envelope's in UTC, its key the webhook-id."""
    expected = events.PaymentSucceeded("TX-1", "SO-1001", Decimal("199.00"), "CNY", AT)
    assert ADAPTER.read(PAID).items == [contract.Item(ID, expected)]
    assert read_one(ADAPTER, signed(content("order.paid", PAYMENT))) == expected


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ('"199.00"', "199.00"),
        ("199", "199"),
        ("0.1", "0.1"),
        ("199.000", "199"),
        ("1e2", "100"),
        ("999999999999.99", "999999999999.99"),
    ],
)
def test_amounts_are_exact(written: str, amount: str) -> None:
    """A decimal string and a JSON number are the same exact amount."""
    body = json.dumps(content("order.paid", PAYMENT)).replace('"199.00"', written)
    said = read_one(ADAPTER, signed(body.encode()))
    assert isinstance(said, events.PaymentSucceeded)
    assert said.amount == Decimal(amount)
    assert said.amount.as_tuple().exponent == -2


def test_occurred_at_comes_first() -> None:
    """The time in data counts before the envelope's."""
    data = PAYMENT | {"occurred_at": "2026-11-23T03:00:00-05:00"}
    said = read_one(ADAPTER, signed(content("order.paid", data)))
    assert said.occurred_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert said.occurred_at.tzinfo is UTC


def test_refund_of_its_own() -> None:
    """A refund with amount is this refund alone, named by its number."""
    for kind in ("payment.refunded", "refund.succeeded"):
        assert read_one(ADAPTER, signed(content(kind, REFUND))) == events.RefundSucceeded(
            "TX-1", "SO-1001", "R-1", Decimal("9.00"), cumulative=False, currency="CNY",
            occurred_at=AT,
        )  # fmt: skip


def test_refund_so_far() -> None:
    """A refund with refunded_total is cumulative and needs neither order nor refund number."""
    data = {"transaction_id": "TX-1", "refunded_total": 12.5, "currency": "CNY", "order_no": None}
    assert read_one(ADAPTER, signed(content("refund.succeeded", data))) == events.RefundSucceeded(
        "TX-1", "", "", Decimal("12.50"), cumulative=True, currency="CNY", occurred_at=AT
    )


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("order.cancelled", {"order_no": "SO-1"}, events.Closed("SO-1", "cancelled", AT)),
        ("payment.expired", {"order_no": "SO-1"}, events.Closed("SO-1", "timed_out", AT)),
        ("order.shipped", SHIPMENT, events.Shipped("SO-1001", "顺丰速运", "SF1234567890", AT)),
        ("order.delivered", {"order_no": "SO-1"}, events.Delivered("SO-1", AT)),
        ("order.created", {"order_no": 1}, events.Noted("order.created", AT)),
        ("contact.created", None, events.Noted("contact.created", AT)),
    ],
)
def test_other_types(kind: str, data: Any, expected: events.Event) -> None:
    """Closing, shipping and delivering are events; every other type is noted."""
    assert read_one(ADAPTER, signed(content(kind, data))) == expected


def test_noted_without_time() -> None:
    """A message that names no time and has no effect is noted as of its signature."""
    assert read_one(ADAPTER, signed({"type": "ping"})) == events.Noted("ping", NOW)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("order.paid", PAYMENT | {"amount": "-1"}),
        ("order.paid", PAYMENT | {"amount": "1.001"}),
        ("order.paid", PAYMENT | {"amount": "1E+400"}),
        ("order.paid", PAYMENT | {"amount": "1e999999999999999999"}),
        ("order.paid", PAYMENT | {"amount": 10**400}),
        ("order.paid", PAYMENT | {"amount": 10**12}),
        ("order.paid", PAYMENT | {"amount": "NaN"}),
        ("order.paid", PAYMENT | {"amount": "sNaN"}),
        ("order.paid", PAYMENT | {"amount": "Infinity"}),
        ("order.paid", PAYMENT | {"amount": float("nan")}),
        ("order.paid", PAYMENT | {"amount": "ten"}),
        ("order.paid", PAYMENT | {"amount": True}),
        ("order.paid", PAYMENT | {"amount": None}),
        ("order.paid", PAYMENT | {"amount": "1.5", "currency": "JPY"}),
        ("order.paid", PAYMENT | {"currency": "cny"}),
        ("order.paid", PAYMENT | {"currency": "XXX"}),
        ("order.paid", PAYMENT | {"order_no": ""}),
        ("order.paid", PAYMENT | {"order_no": 17}),
        ("order.paid", PAYMENT | {"order_no": "A" * 65}),
        ("order.paid", PAYMENT | {"order_no": "A\n"}),
        ("order.paid", PAYMENT | {"order_no": "A\x00"}),
        ("order.paid", PAYMENT | {"order_no": "\ud800"}),
        ("order.paid", PAYMENT | {"transaction_id": "A" * 129}),
        ("order.paid", PAYMENT | {"occurred_at": "2026-11-23T12:00:00"}),
        ("order.paid", PAYMENT | {"occurred_at": "0001-01-01T00:00:00+14:00"}),
        ("order.paid", PAYMENT | {"occurred_at": "9999-12-31T23:59:59-14:00"}),
        ("order.paid", PAYMENT | {"occurred_at": 1}),
        ("order.paid", {k: v for k, v in PAYMENT.items() if k != "transaction_id"}),
        ("order.paid", []),
        ("order.paid", None),
        ("refund.succeeded", REFUND | {"refunded_total": "9.00"}),
        ("refund.succeeded", REFUND | {"amount": None}),
        ("refund.succeeded", REFUND | {"amount": "0.00"}),
        ("refund.succeeded", REFUND | {"refund_no": ""}),
        ("refund.succeeded", REFUND | {"refund_no": "R" * 129}),
        ("order.shipped", SHIPMENT | {"carrier": ""}),
        ("order.shipped", SHIPMENT | {"carrier": " "}),
        ("order.shipped", SHIPMENT | {"carrier": "a\x00"}),
        ("order.shipped", SHIPMENT | {"carrier": "x" * 65}),
        ("order.shipped", SHIPMENT | {"tracking_no": "S F"}),
        ("order.shipped", {"order_no": "SO-1"}),
    ],
)
def test_malformed_data_is_refused(kind: str, data: Any) -> None:
    """What an event needs is there and in bounds, or the message is refused."""
    assert refusal(ADAPTER, signed(content(kind, data))) == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"type":"order.paid","data":{}',
        b'{"type":"order.paid"}',
        b'{"type":7}',
        b'{"type":"a b"}',
        b'{"type":"' + b"a" * 129 + b'"}',
        b'{"type":"ping","timestamp":"2026-11-23T12:00:00"}',
        b'{"type":"ping","timestamp":"1999-12-31T23:59:59Z"}',
        b'{"type":"ping","timestamp":1}',
        b"[" * 200_000,
        b'{"type":"ping","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        json.dumps({"type": "order.paid", "data": PAYMENT}).encode(),
    ],
)
def test_malformed_bodies_are_refused(body: bytes) -> None:
    """A true signature over nonsense is refused as malformed."""
    assert refusal(ADAPTER, signed(body)) == "malformed"


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
    """Headers that do not prove the body are refused, whatever they look like."""
    said = message(PAID.body, {**PAID.headers, **changes})
    assert refusal(ADAPTER, said) == reason


def test_no_headers() -> None:
    """A request without any of the headers is refused."""
    assert refusal(ADAPTER, message(PAID.body, {})) == "missing_signature"


def test_id_must_not_hold_a_dot() -> None:
    """An id with a dot is refused although its signature is right: the text is ambiguous."""
    assert refusal(ADAPTER, signed(PAID.body, key="msg.1")) == "bad_signature"
    moved = signed(b"%d.%b" % (NOW_S, PAID.body), key="msg", at=1)
    headers = {**moved.headers, "webhook-id": "msg.1", "webhook-timestamp": str(NOW_S)}
    assert refusal(ADAPTER, message(PAID.body, headers)) == "bad_signature"


@pytest.mark.parametrize("key", ["a b", "a" * 129])
def test_id_must_be_storable(key: str) -> None:
    """An id that could not be a key is refused."""
    assert refusal(ADAPTER, signed(PAID.body, key=key)) == "malformed"


@settings(deadline=None)
@given(tampered(PAID.body), st.sampled_from([ADAPTER, ASYMMETRIC]))
def test_tampered_bodies_are_refused(body: bytes, adapter: contract.Adapter) -> None:
    """A body that differs in any byte is refused, with either kind of key."""
    headers = signed(PAID.body, entry=ed25519_entry if adapter is ASYMMETRIC else hmac_entry)
    if body != PAID.body:
        assert verdict(adapter, message(body, headers.headers)) is None


@settings(deadline=None)
@given(st.sampled_from(sorted(PAID.headers)), st.booleans(), st.data())
def test_tampered_headers_never_change_the_message(
    name: str, is_asymmetric: bool, data: st.DataObject
) -> None:
    """A header that was tampered with is refused, or proves the very same message."""
    adapter = ASYMMETRIC if is_asymmetric else ADAPTER
    said = signed(PAID.body, entry=ed25519_entry if is_asymmetric else hmac_entry)
    value = data.draw(tampered(said.headers[name].encode())).decode("utf-8", "surrogateescape")
    reading = verdict(adapter, message(said.body, {**said.headers, name: value}))
    assert reading in (None, adapter.read(PAID) if adapter is ADAPTER else adapter.read(said))


@pytest.mark.usefixtures("sdk_clock")
def test_never_accepts_what_the_library_refuses() -> None:
    """Whatever header is tampered with: what the adapter accepts, the library accepts."""

    @settings(deadline=None)
    @given(st.sampled_from(sorted(PAID.headers)), st.data())
    def check(name: str, data: st.DataObject) -> None:
        value = data.draw(tampered(PAID.headers[name].encode())).decode("utf-8", "surrogateescape")
        said = message(PAID.body, {**PAID.headers, name: value})
        if verdict(ADAPTER, said):
            assert is_accepted_by_sdk(said)

    check()


@settings(deadline=None)
@given(st.binary(max_size=200), header_values, header_values, header_values)
def test_any_bytes_are_refused(body: bytes, key: str, stamp: str, signature: str) -> None:
    """No body and no headers make anything but a refusal escape."""
    headers = {"webhook-id": key, "webhook-timestamp": stamp, "svix-signature": "v1,AA=="}
    for said in (headers, headers | {"webhook-signature": signature}):
        assert verdict(ADAPTER, message(body, said)) is None
        assert verdict(ASYMMETRIC, message(body, said)) is None


@settings(deadline=None)
@given(
    st.sampled_from(
        [
            content("order.paid", PAYMENT),
            content("refund.succeeded", REFUND),
            content("order.cancelled", {"order_no": "SO-1"}),
            content("order.shipped", SHIPMENT),
            content("order.delivered", {"order_no": "SO-1"}),
            content("ping", {}),
        ]
    ).flatmap(bent)
)
def test_bent_messages_are_storable_or_refused(said: Any) -> None:
    """Whatever the sender itself might sign, it is refused or it can be stored."""
    verdict(ADAPTER, signed(said))


@pytest.mark.parametrize(
    ("answer", "status"), [("accepted", 200), ("later", 503), ("refused", 400)]
)
def test_replies(answer: contract.Answer, status: int) -> None:
    """Only accepted is a 2xx, and nothing is 410, which would switch the endpoint off."""
    reply = ADAPTER.reply(answer)
    assert (reply.status, reply.content_type) == (status, "application/json")
    assert json.loads(reply.body) == {"received": answer == "accepted"}


def test_unpadded_secret() -> None:
    """A key shown without its padding is the same key, as it is to the library."""
    bare = SECRET.rstrip("=")
    assert bare != SECRET
    assert standard_webhooks.adapter(account(bare)).read(PAID) == ADAPTER.read(PAID)
    assert standardwebhooks.Webhook(bare).sign(ID, NOW, "x") == SDK.sign(ID, NOW, "x")


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), {}, "1 or 2 secrets"),
        ((SECRET,) * 3, {}, "1 or 2 secrets"),
        (("",), {}, "whsec_"),
        ((SECRET.removeprefix("whsec_"),), {}, "whsec_"),
        (("whsec_",), {}, "not base64"),
        (("whsec_!!!!",), {}, "not base64"),
        (("whsec_\u00e9",), {}, "not base64"),
        (("whsec_" + base64.b64encode(b"x" * 23).decode(),), {}, "24 to 64 bytes"),
        (("whsec_" + base64.b64encode(b"x" * 65).decode(),), {}, "24 to 64 bytes"),
        (("whpk_" + base64.b64encode(b"x" * 31).decode(),), {}, "Ed25519"),
        (("whsk_" + base64.b64encode(KEY).decode(),), {}, "private key"),
        ((SECRET,), {"tolerance_s": 3601}, "tolerance_s"),
        ((SECRET,), {"secret": "x"}, "secret"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account does not start, says what to set, and does not show its secret."""
    with pytest.raises(ValueError, match=says) as caught:
        standard_webhooks.adapter(account(*secrets, **options))
    assert "shop" in str(caught.value)
    assert not any(len(s) > 8 and s in str(caught.value) for s in secrets)


@pytest.mark.parametrize("size", [24, 64])
def test_sizes_of_secrets(size: int) -> None:
    """Keys of 24 and of 64 bytes are within the specification."""
    key = b"k" * size
    adapter = standard_webhooks.adapter(account("whsec_" + base64.b64encode(key).decode()))
    assert adapter.read(signed(PAID.body, entry=lambda text: hmac_entry(text, key))).items


def test_window_is_an_option() -> None:
    """tolerance_s narrows the window, counted from the time the message brings along."""
    adapter = standard_webhooks.adapter(account(SECRET, tolerance_s=30))
    tokyo = (NOW + timedelta(seconds=31)).astimezone(timezone(timedelta(hours=9)))
    assert refusal(adapter, contract.Message(PAID.headers, PAID.body, tokyo)) == "stale"
    assert adapter.read(PAID).items
