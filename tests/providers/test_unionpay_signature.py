"""UnionPay's signature. Trust in certificates: ``test_unionpay_certificates``.

No client of UnionPay's for Python or npm is left to compare with: ``unionpay_samples`` composes
what is signed from the documented steps with ``cryptography``, and ``tests/interop`` with the
``openssl`` command.
"""

import base64
import hashlib
from urllib.parse import quote_plus

import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers import contract

from .support import rejection, tampered, verdict
from .unionpay_samples import (
    ADAPTER,
    FIELDS,
    ISSUERS,
    LEAF,
    PAID,
    REFUND,
    encoded,
    new_key,
    notice,
    posted,
    signed,
    wire_pem,
)

REFUND_NOTICE = notice(REFUND)


def test_signed_text_step_by_step() -> None:
    """The documented steps, spelled out once more: sorted, joined, hashed to hex, signed."""
    form = dict(signed(FIELDS))
    signature = base64.b64decode(form.pop("signature"))
    text = b"accNo=6226********0048&accessType=0&bizType=000201&currencyCode=156&encoding=UTF-8&"
    text += b"merId=777290058110048&orderId=SO1001000001&payCardType=01&"
    text += b"queryId=201703241011516777928&reqReserved=VXNlcklEPTI5MzAyJkl0ZW1JRD0x&"
    text += "reserved={cardType=01&note=a+b 100%}&respCode=00&respMsg=成功[0000000]&".encode()
    text += b"settleAmt=8880&settleCurrencyCode=156&settleDate=1123&signMethod=01&signPubKeyCert="
    text += LEAF.strip().replace("\n", "\r\n").encode()
    text += b"&traceNo=677792&traceTime=1123115930&txnAmt=8880&txnSubType=01&"
    text += b"txnTime=20261123115930&txnType=01&version=5.1.0"
    digest = hashlib.sha256(text).digest().hex().encode()
    # RSA by hand: PKCS#1 v1.5 puts the hash of the hex, not of the text, at the end.
    numbers = new_key("unionpay").public_key().public_numbers()
    opened = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(256, "big")
    assert opened.endswith(hashlib.sha256(digest).digest())
    assert ADAPTER.read(PAID).items


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-8"])
def test_encoding(encoding: str) -> None:
    """UTF-8 in either case, as UnionPay echoes the value of the request."""
    assert ADAPTER.read(notice({"encoding": encoding})) == ADAPTER.read(PAID)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "5.0.0"},
        {"version": "5.1.0 "},
        {"version": None},
        {"signMethod": "11"},
        {"signMethod": "12"},
        {"signMethod": ""},
        {"encoding": "GBK"},
        {"encoding": None},
    ],
)
def test_what_is_pinned(changes: dict[str, str | None]) -> None:
    """No message chooses an older version, another method or another encoding."""
    assert rejection(ADAPTER, notice(changes)) == "unsupported"


def test_weaker_signatures_are_rejected() -> None:
    """SHA-1 does not pass under method 01, nor does a content that was hashed once."""
    assert rejection(ADAPTER, notice(algorithm=hashes.SHA1())) == "bad_signature"
    assert rejection(ADAPTER, notice(is_hashed_once=True)) == "bad_signature"
    assert rejection(ADAPTER, notice(key=new_key("stranger"))) == "bad_signature"


def rewritten(**values: bytes | None) -> contract.Message:
    """Replace fields of a genuine notice without signing it again."""
    form = {name: values.get(name, value) for name, value in signed(FIELDS)}
    return posted(encoded([(name, value) for name, value in form.items() if value is not None]))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"signature": None}, "missing_signature"),
        ({"signature": b""}, "missing_signature"),
        ({"signPubKeyCert": None}, "missing_signature"),
        ({"signPubKeyCert": b""}, "missing_signature"),
        ({"signature": b"!"}, "bad_signature"),
        ({"signature": b"\xff"}, "bad_signature"),
        ({"signature": b"AAAA"}, "bad_signature"),
        ({"signature": base64.b64encode(bytes(256))}, "bad_signature"),
        ({"signature": base64.b64encode(bytes(4096))}, "bad_signature"),
        ({"signPubKeyCert": b"x"}, "bad_signature"),
        ({"signPubKeyCert": b"-----BEGIN CERTIFICATE-----"}, "bad_signature"),
        ({"signPubKeyCert": wire_pem(LEAF).encode()[:500]}, "bad_signature"),
        ({"signPubKeyCert": (LEAF + LEAF).encode()}, "bad_signature"),
        ({"signPubKeyCert": (LEAF + ISSUERS).encode()}, "bad_signature"),
        ({"signPubKeyCert": LEAF.encode() + b"\n" * 8192}, "bad_signature"),
        # The same certificate, but not the text that was signed.
        ({"signPubKeyCert": LEAF.encode()}, "bad_signature"),
        ({"txnAmt": b"1"}, "bad_signature"),
        ({"accNo": None}, "bad_signature"),
        ({"respMsg": "成功[0000001]".encode()}, "bad_signature"),
    ],
)
def test_rewritten_fields(values: dict[str, bytes | None], reason: str) -> None:
    """Every field counts, known or not, the certificate with its line ends too."""
    assert rejection(ADAPTER, rewritten(**values)) == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "missing_signature"),
        (b"{}", "malformed"),
        (b"a=1", "missing_signature"),
        (b"a=1&a=1", "malformed"),
        (b"a=%zz", "malformed"),
        (b"&".join(b"a%d=1" % n for n in range(201)), "malformed"),
        (PAID.body + b"&extra=1", "bad_signature"),
        (PAID.body + b"&txnAmt=8880", "malformed"),
        (PAID.body + b"&%74xnAmt=8880", "malformed"),
        (PAID.body.replace(b"%0D%0A", b"%0A"), "bad_signature"),
        (PAID.body.replace(b"%0D%0A", b""), "bad_signature"),
    ],
)
def test_bodies(body: bytes, reason: str) -> None:
    """A form that is not the one that was signed is rejected."""
    assert rejection(ADAPTER, posted(body)) == reason


def folded(form: dict[str, bytes], names: list[str]) -> list[tuple[str, bytes]]:
    """Hide the fields after the first in its value, so that the signed text stays the same."""
    first, *hidden = names
    kept = {name: value for name, value in form.items() if name not in hidden}
    kept[first] += b"".join(f"&{name}=".encode() + form[name] for name in hidden)
    return list(kept.items())


@pytest.mark.parametrize("changes", [{}, REFUND])
def test_folded_fields_never_change_the_message(changes: dict[str, str | None]) -> None:
    """Whichever fields are hidden in a neighbour's value, nothing that we act on changes."""
    merged = {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}
    form = dict(signed(merged))
    names = sorted(form.keys() - {"signature"})
    for start in range(len(names)):
        for end in range(start + 2, len(names) + 1):
            received = posted(encoded(folded(form, names[start:end])))
            assert verdict(ADAPTER, received) in (None, ADAPTER.read(notice(changes)))


@pytest.mark.parametrize(
    ("first", "hidden"),
    [
        ("currencyCode", "encoding"),
        ("orderId", "payCardType"),
        ("payCardType", "queryId"),
        ("reserved", "respCode"),
        ("txnTime", "txnType"),
        ("txnSubType", "txnTime"),
    ],
)
def test_folded_fields_are_rejected(first: str, hidden: str) -> None:
    """A field that we act on is neither hidden in another's value nor hides another itself."""
    received = posted(encoded(folded(dict(signed(FIELDS)), [first, hidden])))
    assert verdict(ADAPTER, received) is None


def test_a_field_is_not_made_of_a_merchants_text() -> None:
    """Text in a field of the merchant does not become a field of UnionPay."""
    form = dict(signed({**FIELDS, "reqReserved": "x&respCode=00&reserved=", "respCode": "05"}))
    del form["reserved"]
    assert verdict(ADAPTER, posted(encoded(list(form.items())))) is None
    unfolded = {**form, "reqReserved": b"x", "respCode": b"00"}
    assert verdict(ADAPTER, posted(encoded(list(unfolded.items())))) is None


@settings(max_examples=50)
@given(st.permutations(signed(FIELDS)), st.booleans())
def test_order_and_escaping_do_not_matter(form: list[tuple[str, bytes]], is_lower: bool) -> None:
    """The same fields in another order, escaped otherwise, are the very same notice."""
    escape = "%%%02x" if is_lower else "%%%02X"
    pairs = [(name, "".join(escape % byte for byte in value)) for name, value in form]
    body = "&".join(f"{quote_plus(name)}={value}" for name, value in pairs).encode()
    assert ADAPTER.read(posted(body)) == ADAPTER.read(PAID)


@st.composite
def rearranged(draw: st.DrawFn, form: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Draw the form with a field dropped, doubled, renamed, emptied, swapped or folded."""
    form = list(form)
    at = draw(st.integers(0, len(form) - 1))
    other = draw(st.integers(0, len(form) - 1))
    change = draw(st.sampled_from(["drop", "double", "rename", "empty", "swap", "fold"]))
    (name, value), (other_name, other_value) = form[at], form[other]
    if change == "drop":
        del form[at]
    elif change == "double":
        form.insert(other, form[at])
    elif change == "rename":
        form[at] = (other_name, value)
    elif change == "empty":
        form[at] = (name, b"")
    elif change == "swap":
        form[at], form[other] = (name, other_value), (other_name, value)
    elif at != other:
        form[at] = (name, value + f"&{other_name}=".encode() + other_value)
        del form[other]
    return form


@settings(max_examples=200)
@given(rearranged(sorted(signed(FIELDS))))
def test_rearranged_notices_never_change_the_message(form: list[tuple[str, bytes]]) -> None:
    """Modified fields are rejected or read as the same content."""
    assert verdict(ADAPTER, posted(encoded(form))) in (None, ADAPTER.read(PAID))


@settings(max_examples=200)
@given(tampered(PAID.body) | tampered(REFUND_NOTICE.body))
def test_tampered_notices_never_change_the_message(body: bytes) -> None:
    """Modified bytes are rejected or read as the same content."""
    true = (None, ADAPTER.read(PAID), ADAPTER.read(REFUND_NOTICE))
    assert verdict(ADAPTER, posted(body)) in true


@given(st.binary(max_size=200) | st.text("a=&%+signature1", max_size=60).map(str.encode))
def test_any_bytes_are_rejected(body: bytes) -> None:
    """Arbitrary bodies raise ``Rejected`` and nothing else."""
    assert verdict(ADAPTER, posted(body)) is None
