"""Alipay's adapter, with python-alipay-sdk as the counterpart.

``AliPay.sign_data`` signs and encodes what the adapter must accept; ``AliPay.verify`` checks
what the tests sign. It only knows UTF-8 and no certificates of Alipay's, so GBK and the
certificate mode are signed and checked with ``cryptography`` alone. Nobody outside Alipay can
show that a notice looks as Alipay sends it; the sample follows its documentation.
"""

import functools
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from alipay import AliPay
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers import alipay

from .alipay_samples import (
    ADAPTER,
    ALIPAYS_KEY,
    APP_ID,
    FIELDS,
    NOTIFIED_AT,
    PAID,
    PAYMENT,
    REFUND,
    encoded,
    notice,
    pem,
    posted,
    private_pem,
    signed,
)
from .support import account, read_one, rejection, tampered, verdict

NEXT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SDK = AliPay(
    appid=APP_ID,
    app_private_key_string=private_pem(ALIPAYS_KEY),
    alipay_public_key_string=pem(ALIPAYS_KEY),
    sign_type="RSA2",
)


@functools.cache
def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alipay")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=NOTIFIED_AT,
        not_valid_after=NOTIFIED_AT + timedelta(days=1),
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def is_accepted_by_sdk(body: bytes) -> bool:
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
    return bool(SDK.verify(fields, fields.pop("sign")))


def test_accepts_what_the_sdk_signs() -> None:
    """A form that the sdk signed and encoded is accepted, including special characters."""
    body = SDK.sign_data(dict(FIELDS)) + "&sign_type=RSA2"
    assert read_one(ADAPTER, posted(body.encode())) == PAYMENT


def test_sdk_accepts_what_these_tests_sign() -> None:
    """The tests sign as the sdk does."""
    assert is_accepted_by_sdk(PAID.body)
    assert not is_accepted_by_sdk(PAID.body.replace(b"88.80", b"00.01"))


@given(st.sampled_from(sorted(FIELDS)), st.text(st.characters(codec="utf-8"), max_size=20))
def test_agrees_with_the_sdk_on_any_text(name: str, value: str) -> None:
    """Any text in any field is signed and verified alike by the sdk and the adapter."""
    fields = {**FIELDS, name: value}
    body = (SDK.sign_data(fields) + "&sign_type=RSA2").encode()
    assert is_accepted_by_sdk(body)
    if name in ("subject", "body", "passback_params", "buyer_logon_id", "fund_bill_list"):
        assert read_one(ADAPTER, posted(body)) == PAYMENT
    else:
        verdict(ADAPTER, posted(body))


@pytest.mark.parametrize("charset", ["gbk", "GBK", "gb2312"])
def test_gbk(charset: str) -> None:
    """A notice in GBK is verified on its own bytes, also where those are ASCII characters."""
    # The second byte of U+4E02 in GBK is "@", that of U+4E4A is "|", that of U+8AA0 "\\".
    received = notice({"charset": charset, "subject": "茶丂乊誠 100%"}, codec="gbk")
    assert read_one(ADAPTER, received) == PAYMENT


def test_charset_may_be_absent() -> None:
    """Without a charset it is UTF-8."""
    assert read_one(ADAPTER, notice({"charset": None})) == PAYMENT


@pytest.mark.parametrize("charset", ["utf-16", "", "utf8", "gb18030", "GBK\x00", "字"])
def test_other_charsets_are_unsupported(charset: str) -> None:
    """A charset that is not documented is rejected even though the signature is right."""
    assert rejection(ADAPTER, notice({"charset": charset})) == "unsupported"


@pytest.mark.parametrize(
    ("charset", "codec"), [("utf-8", "gbk"), ("gbk", "latin-1"), ("utf-8", "latin-1")]
)
def test_undecodable_text_is_malformed(charset: str, codec: str) -> None:
    """Bytes that are not in the charset they name are rejected."""
    subject = "茶" if codec == "gbk" else "\xff\xff"
    received = notice({"charset": charset, "subject": subject}, codec=codec)
    assert rejection(ADAPTER, received) == "malformed"


def test_certificate_mode() -> None:
    """The Alipay public certificate may stand for the key, followed by its issuer's."""
    chain = certificate(ALIPAYS_KEY) + certificate(NEXT_KEY)
    adapter = alipay.adapter(account(chain, app_id=APP_ID))
    assert adapter.read(PAID) == ADAPTER.read(PAID)
    assert rejection(adapter, notice(key=NEXT_KEY)) == "bad_signature"


def test_bare_key_of_the_console() -> None:
    """The key may be the bare base64 that the console shows, with line ends or without."""
    lines = pem(ALIPAYS_KEY).strip().splitlines()[1:-1]
    for bare in ("".join(lines), "\n".join(lines) + "\n"):
        assert alipay.adapter(account(bare, app_id=APP_ID)).read(PAID) == ADAPTER.read(PAID)


def test_every_live_key_counts() -> None:
    """While Alipay's key is replaced, either one is accepted."""
    both = alipay.adapter(account(pem(NEXT_KEY), pem(ALIPAYS_KEY), app_id=APP_ID))
    assert both.read(PAID).items
    assert both.read(notice(key=NEXT_KEY)).items
    assert rejection(ADAPTER, notice(key=NEXT_KEY)) == "bad_signature"


def test_rsa2_is_pinned() -> None:
    """SHA-1 is rejected under its own name, and does not pass under the name of RSA2."""
    sha1 = hashes.SHA1()
    assert rejection(ADAPTER, notice(algorithm=sha1, sign_type="RSA")) == "unsupported"
    assert rejection(ADAPTER, notice(algorithm=sha1)) == "bad_signature"
    assert rejection(ADAPTER, notice(sign_type="MD5")) == "unsupported"
    assert rejection(ADAPTER, notice(sign_type="")) == "unsupported"


def test_keep_sign_type_is_an_option() -> None:
    """Old messages sign sign_type as well; only an account set so takes them."""
    old = notice(keep_sign_type=True)
    keeping = alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID, keep_sign_type=True))
    assert keeping.read(old) == ADAPTER.read(PAID)
    assert rejection(ADAPTER, old) == "bad_signature"
    assert rejection(keeping, PAID) == "bad_signature"


@pytest.mark.parametrize("keep_empty", [True, False])
@pytest.mark.parametrize(
    "empty", [{"body": ""}, {"refund_fee": "", "gmt_refund": ""}, {"passback_params": ""}, {}]
)
def test_an_empty_field_may_be_signed_or_not(empty: dict[str, str], keep_empty: bool) -> None:
    """Java's library leaves it out of the signed text, Python's keeps it; it reads as absent."""
    assert ADAPTER.read(notice(empty, keep_empty=keep_empty)) == ADAPTER.read(PAID)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "missing_signature"),
        (b"{}", "malformed"),
        (b"a=1", "missing_signature"),
        (b"a=1&a=1", "malformed"),
        (b"a=1&%61=1", "malformed"),
        (b"a=1&&b=2", "malformed"),
        (b"a=1&=2", "malformed"),
        (b"a=%", "malformed"),
        (b"a=%4", "malformed"),
        (b"a=%zz", "malformed"),
        (b"a=100% sure", "malformed"),
        (b"&".join(b"a%d=1" % n for n in range(201)), "malformed"),
        (PAID.body + b"&extra=1", "bad_signature"),
        (PAID.body + b"\n", "bad_signature"),
        (PAID.body.replace(b"88.80", b"00.01"), "bad_signature"),
        (PAID.body.replace(b"&sign=", b"&sign=!"), "bad_signature"),
        (PAID.body.replace(b"&sign=", b"&sign=%FF"), "bad_signature"),
        (PAID.body.replace(b"body=&", b""), "bad_signature"),
        (PAID.body.replace(b"sign_type=RSA2&", b""), "unsupported"),
        (PAID.body.replace(b"&sign=", b"&sgin="), "missing_signature"),
        (PAID.body.partition(b"&sign=")[0] + b"&sign=", "missing_signature"),
        (PAID.body.partition(b"&sign=")[0] + b"&sign=AAAA", "bad_signature"),
        (PAID.body.replace(b"%22", b"%26quot%3B"), "bad_signature"),
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


def test_an_empty_field_hides_no_other_one() -> None:
    """Added empty, fields must not make room for those that a value hides."""
    sent = dict(signed({**FIELDS, **REFUND}, keep_empty=False))
    names = sorted(name for name in sent if name not in ("sign", "sign_type") and sent[name])
    from_list = names[names.index("fund_bill_list") : names.index("gmt_refund") + 1]
    form = folded(sent, from_list) + [(name, b"") for name in from_list[1:]]
    assert rejection(ADAPTER, posted(encoded(form))) == "bad_signature"
    assert ADAPTER.read(posted(encoded(list(sent.items())))).items


@pytest.mark.parametrize("changes", [{}, REFUND, {**REFUND, "trade_status": "TRADE_CLOSED"}])
def test_folded_fields_never_change_the_message(changes: dict[str, str]) -> None:
    """Whichever fields are hidden in a neighbour's value, nothing that we act on changes."""
    form = dict(signed({**FIELDS, **changes}))
    names = sorted(form.keys() - {"sign", "sign_type"})
    for start in range(len(names)):
        for end in range(start + 2, len(names) + 1):
            received = posted(encoded(folded(form, names[start:end])))
            assert verdict(ADAPTER, received) in (None, ADAPTER.read(notice(changes)))


@pytest.mark.parametrize(
    ("first", "hidden"),
    [
        ("refund_fee", "seller_email"),
        ("out_biz_no", "out_trade_no"),
        ("out_trade_no", "passback_params"),
        ("passback_params", "refund_fee"),
        ("trade_status", "version"),
    ],
)
def test_folded_fields_are_rejected(first: str, hidden: str) -> None:
    """A field that we act on is neither hidden in another's value nor hides another itself."""
    form = dict(signed({**FIELDS, **REFUND}))
    received = posted(encoded(folded(form, [first, hidden])))
    assert rejection(ADAPTER, received) == "bad_signature"


@given(st.permutations(signed({**FIELDS, **REFUND})), st.booleans())
def test_order_and_escaping_do_not_matter(form: list[tuple[str, bytes]], is_lower: bool) -> None:
    """The same fields in another order, escaped otherwise, are the very same notice."""
    body = b"&".join(
        b"%b=%b" % (name.encode(), b"".join(b"%%%02X" % byte for byte in value))
        for name, value in form
    )
    received = posted(body.lower().replace(b"rsa2", b"RSA2") if is_lower else body)
    assert ADAPTER.read(received) == ADAPTER.read(notice(REFUND))


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


@settings(max_examples=300)
@given(rearranged(sorted(signed({**FIELDS, **REFUND}))))
def test_rearranged_notices_never_change_the_message(form: list[tuple[str, bytes]]) -> None:
    """Modified fields are rejected or read as the same content."""
    reading = verdict(ADAPTER, posted(encoded(form)))
    assert reading in (None, ADAPTER.read(notice(REFUND)))


@settings(max_examples=300)
@given(tampered(PAID.body))
def test_tampered_notices_never_change_the_message(body: bytes) -> None:
    """Modified bytes are rejected or read as the same content."""
    assert verdict(ADAPTER, posted(body)) in (None, ADAPTER.read(PAID))


@given(st.binary(max_size=200) | st.text("a=&%+sign1", max_size=60).map(str.encode))
def test_any_bytes_are_rejected(body: bytes) -> None:
    """Arbitrary bodies raise ``Rejected`` and nothing else."""
    assert verdict(ADAPTER, posted(body)) is None
