"""Whom Adyen's adapter believes."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import adyen

from .adyen_samples import (
    ADAPTER,
    NEXT_SECRET,
    OPTIONS,
    PAID,
    PAYMENT,
    REFUND,
    SECRET,
    envelope,
    posted,
    signature,
    signed,
    text,
    with_signature,
)
from .support import account, header_values, message, rejection, tampered, verdict

SIGNED = with_signature(PAYMENT)


def test_every_live_key_counts() -> None:
    """While a key is exchanged either one is accepted, in capitals or not."""
    both = adyen.adapter(account(NEXT_SECRET.lower(), SECRET, **OPTIONS))
    for secret in (SECRET, NEXT_SECRET):
        assert both.read(signed(PAYMENT, secret=secret)) == ADAPTER.read(PAID)
    assert rejection(ADAPTER, signed(PAYMENT, secret=NEXT_SECRET)) == "bad_signature"


def test_items_of_one_message_may_be_signed_with_either_key() -> None:
    """A message made while the key is exchanged may hold an item of each."""
    both = adyen.adapter(account(NEXT_SECRET, SECRET, **OPTIONS))
    received = posted(envelope(SIGNED, with_signature(REFUND, secret=NEXT_SECRET)))
    assert len(both.read(received).items) == 2


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_item_rejects_the_message(place: int) -> None:
    """Every item is verified, in any position; an official library checks only the first."""
    for bad, reason in (
        (SIGNED | {"pspReference": "FORGED"}, "bad_signature"),
        (with_signature(REFUND, secret=NEXT_SECRET), "bad_signature"),
        (PAYMENT, "missing_signature"),
        (with_signature(PAYMENT | {"merchantAccountCode": "Other"}), "not_ours"),
    ):
        items = [SIGNED, with_signature(REFUND)]
        items.insert(place, bad)
        assert rejection(ADAPTER, posted(envelope(*items))) == reason


@pytest.mark.parametrize(
    ("mac", "reason"),
    [
        (None, "missing_signature"),
        ("", "missing_signature"),
        ("=", "bad_signature"),
        (signature(PAYMENT)[:-1], "bad_signature"),
        (signature(PAYMENT) + "=", "bad_signature"),
        (signature(PAYMENT) + "\n", "bad_signature"),
        (signature(PAYMENT).lower(), "bad_signature"),
        (base64.b64decode(signature(PAYMENT)).hex(), "bad_signature"),
        ("签" * 44, "bad_signature"),
        (7, "malformed"),
        ([signature(PAYMENT)], "malformed"),
    ],
)
def test_signatures(mac: Any, reason: str) -> None:
    """A signature that is not exactly the right one proves nothing."""
    item = PAYMENT | {"additionalData": {"hmacSignature": mac}}
    assert rejection(ADAPTER, posted(envelope(item))) == reason


@pytest.mark.parametrize("additional", [None, {}, {"hmacsignature": signature(PAYMENT)}])
def test_unsigned_items_are_rejected(additional: Any) -> None:
    """Without a signature where Adyen puts it there is none."""
    item = PAYMENT | {"additionalData": additional}
    assert rejection(ADAPTER, posted(envelope(item))) == "missing_signature"


def test_key_is_the_decoded_hex() -> None:
    """The text of the key, or an empty one, signs nothing; nor does another algorithm."""
    signed_text = text(PAYMENT).encode()
    decoded = bytes.fromhex(SECRET)
    for mac in (
        hmac.digest(SECRET.encode(), signed_text, "sha256"),
        hmac.digest(b"", signed_text, "sha256"),
        hmac.digest(decoded, signed_text, "sha1"),
        hmac.digest(decoded, signed_text, "sha512"),
    ):
        item = PAYMENT | {"additionalData": {"hmacSignature": base64.b64encode(mac).decode()}}
        assert rejection(ADAPTER, posted(envelope(item))) == "bad_signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"pspReference": "NC6HT9CRT65ZGN83"},
        {"originalReference": "X"},
        {"merchantAccountCode": "TestMerchant2"},
        {"merchantReference": "SO-1002"},
        {"amount": {"currency": "EUR", "value": 19901}},
        {"amount": {"currency": "USD", "value": 19900}},
        {"eventCode": "REFUND"},
        {"success": "false"},
        {"amount": None},
    ],
)
def test_each_signed_value_is_covered(changes: dict[str, Any]) -> None:
    """A change of any signed value is noticed."""
    assert rejection(ADAPTER, posted(envelope(SIGNED | changes))) == "bad_signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "CANCELLED"},
        {"paymentMethod": "alipay"},
        {"operations": []},
        {"originalReference": ""},
        {"originalReference": None},
        {"additionalData": {"hmacSignature": signature(PAYMENT), "authorisedAmountValue": "1"}},
    ],
)
def test_what_is_not_signed_decides_nothing(changes: dict[str, Any]) -> None:
    """A change of anything else leaves what is read as it was."""
    assert ADAPTER.read(posted(envelope(SIGNED | changes))) == ADAPTER.read(PAID)


@pytest.mark.parametrize(
    "folded",
    [
        # The refund of a payment, its references pushed together or apart.
        {"pspReference": "KHQC5N7G84BLNK43:NC6HT9CRT65ZGN82", "originalReference": "TestMerchant"},
        {"originalReference": "NC6HT9CRT65ZGN82:TestMerchant", "merchantAccountCode": "return-7"},
        {"eventCode": "EUR:REFUND"},
        {"amount": {"value": 900, "currency": "EUR:EUR"}},
    ],
)
def test_values_cannot_be_folded_into_their_neighbours(folded: dict[str, Any]) -> None:
    """What is rightly signed and holds a colon where none can be is rejected."""
    assert rejection(ADAPTER, signed(REFUND | folded)) in ("malformed", "not_ours")


def test_a_true_text_is_read_in_one_way_only() -> None:
    """Of all ways to cut a signed text with colons in it, one is taken."""
    true = PAYMENT | {"merchantReference": "SO:TestMerchant:1:EUR"}
    parts = text(true).split(":")
    mac = signature(true)
    taken = []
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    for cuts in _cuts(len(parts), 4, leaving=4):
        values = [":".join(parts[a:b]) for a, b in zip((0, *cuts), cuts, strict=False)]
        last = parts[cuts[-1] :]
        for split in range(1, len(last) - 2):
            if not last[0].isdigit():
                break
            item = dict(zip(names, values, strict=True)) | {
                "amount": {"value": int(last[0]), "currency": ":".join(last[1 : split + 1])},
                "eventCode": ":".join(last[split + 1 : -1]),
                "success": last[-1],
                "additionalData": {"hmacSignature": mac},
            }
            assert text(item) == text(true)
            if reading := verdict(ADAPTER, posted(envelope(item))):
                taken.append((item, reading))
    ((item, _),) = taken
    assert item["merchantReference"] == "SO:TestMerchant:1:EUR"


def _cuts(total: int, count: int, *, leaving: int) -> list[tuple[int, ...]]:
    """List the ways to cut ``count`` pieces off, at least ``leaving`` parts left behind them."""
    ways: list[tuple[int, ...]] = [()]
    for _ in range(count):
        ways = [
            (*way, end)
            for way in ways
            for end in range((way[-1] if way else 0) + 1, total - leaving + 1)
        ]
    return ways


def test_platform_webhooks_are_unsupported() -> None:
    """A message signed in a header is another kind of webhook, whatever its body."""
    body = json.dumps({"type": "balancePlatform.transfer.created", "data": {}}).encode()
    mac = base64.b64encode(hmac.digest(bytes.fromhex(SECRET), body, "sha256")).decode()
    for content in (body, PAID.body):
        received = message(content, {"HmacSignature": mac, "Protocol": "HmacSHA256"})
        assert rejection(ADAPTER, received) == "unsupported"


@pytest.mark.parametrize(
    "body", [b"", b"live=true&eventCode=AUTHORISATION", b"<soap:Envelope/>", b"[]", b"\xff"]
)
def test_other_methods_are_unsupported(body: bytes) -> None:
    """The methods SOAP and HTTP POST are rejected with a word on what to choose."""
    assert rejection(ADAPTER, posted(body)) == "unsupported"


@given(tampered(PAID.body))
def test_tampered_bodies_are_rejected_or_the_same(body: bytes) -> None:
    """A body that was tampered with is rejected, or read as the same, apart from its time."""
    reading = verdict(ADAPTER, posted(body))
    if reading is not None:
        (item,), (true,) = reading.items, ADAPTER.read(PAID).items
        assert item.key == true.key
        assert _without_time(item.event) == _without_time(true.event)


def _without_time(event: Any) -> Any:
    return {name: getattr(event, name) for name in event.__struct_fields__ if name != "occurred_at"}


@given(tampered(signature(PAYMENT).encode()))
def test_tampered_signatures_are_rejected(mac: bytes) -> None:
    """A signature that differs in any character is rejected."""
    changed = mac.decode("latin-1")
    item = PAYMENT | {"additionalData": {"hmacSignature": changed}}
    reading = verdict(ADAPTER, posted(envelope(item)))
    assert (reading is not None) is (changed == signature(PAYMENT))


@given(st.binary(max_size=200), header_values)
def test_any_bytes_are_rejected(body: bytes, header: str) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    for content in (body, b"{" + body):
        assert verdict(ADAPTER, message(content, {"HmacSignature": header})) is None
        assert verdict(ADAPTER, message(content, {"Content-Type": header})) is None
