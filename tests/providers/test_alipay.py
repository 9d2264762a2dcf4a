"""Alipay's adapter, with python-alipay-sdk as the counterpart.

``AliPay.sign_data`` signs and encodes what the adapter must accept; ``AliPay.verify`` checks
what the tests sign. It only knows UTF-8 and no certificates of Alipay's, so GBK and the
certificate mode are signed and checked with ``cryptography`` alone. Nobody outside Alipay can
show that a notice looks as Alipay sends it; the sample follows its documentation.
"""

import base64
import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest
from alipay import AliPay
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import alipay, contract

from .support import account, message, read_one, refusal, tampered, verdict

ALIPAYS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEXT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
APP_ID, SELLER_ID = "2021000117654321", "2088102146225135"

PAID_AT = datetime(2026, 11, 23, 3, 59, 30, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 11, 24, 1, 0, 0, 321000, tzinfo=UTC)
NOTIFIED_AT = datetime(2026, 11, 23, 4, 0, 0, tzinfo=UTC)

FIELDS = {
    "app_id": APP_ID,
    "auth_app_id": APP_ID,
    "body": "",
    "buyer_id": "2088102116773037",
    "buyer_logon_id": "159****5620",
    "charset": "utf-8",
    "fund_bill_list": '[{"amount":"88.80","fundChannel":"ALIPAYACCOUNT"}]',
    "gmt_create": "2026-11-23 11:59:00",
    "gmt_payment": "2026-11-23 11:59:30",
    "notify_id": "2026112300222115930010000000000001",
    "notify_time": "2026-11-23 12:00:00",
    "notify_type": "trade_status_sync",
    "out_trade_no": "SO-1001",
    "passback_params": "a%3D1%26b%3D2+c",
    "seller_email": "shop@example.com",
    "seller_id": SELLER_ID,
    "subject": "茶 & 杯=一 100% +1",
    "total_amount": "88.80",
    "trade_no": "2026112322001473030500000001",
    "trade_status": "TRADE_SUCCESS",
    "version": "1.0",
}
REFUND = {
    "gmt_refund": "2026-11-24 09:00:00.321",
    "notify_id": "2026112400222090000010000000000002",
    "out_biz_no": "R-1",
    "refund_fee": "8.80",
}
PAYMENT = events.PaymentSucceeded(
    "2026112322001473030500000001", "SO-1001", Decimal("88.80"), "CNY", PAID_AT
)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        .decode()
    )  # fmt: skip


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


ADAPTER = alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID))
SDK = AliPay(
    appid=APP_ID,
    app_private_key_string=private_pem(ALIPAYS_KEY),
    alipay_public_key_string=pem(ALIPAYS_KEY),
    sign_type="RSA2",
)


def signed(
    fields: Mapping[str, str],
    *,
    key: rsa.RSAPrivateKey = ALIPAYS_KEY,
    codec: str = "utf-8",
    algorithm: hashes.HashAlgorithm = hashes.SHA256(),  # noqa: B008 - has no state
    sign_type: str = "RSA2",
    keep_sign_type: bool = False,
) -> list[tuple[str, bytes]]:
    """Sign the fields and return all of them, encoded but not yet escaped."""
    if keep_sign_type:
        fields = {**fields, "sign_type": sign_type}
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)).encode(codec)
    signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), algorithm))
    form = [(name, value.encode(codec)) for name, value in fields.items()]
    if not keep_sign_type:
        form.append(("sign_type", sign_type.encode()))
    return [*form, ("sign", signature)]


def encoded(form: list[tuple[str, bytes]]) -> bytes:
    return b"&".join(f"{quote_plus(name)}={quote_plus(value)}".encode() for name, value in form)


def notice(changes: Mapping[str, str | None] = {}, **how: Any) -> contract.Message:  # noqa: B006 - only read
    """Build a signed notice of a payment with some of its fields changed or, by None, left out."""
    merged = {**FIELDS, **changes}
    return posted(encoded(signed({k: v for k, v in merged.items() if v is not None}, **how)))


def posted(body: bytes) -> contract.Message:
    return message(body, {"content-type": "application/x-www-form-urlencoded"})


PAID = notice()


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
    """A form that the sdk signed and encoded is accepted, odd characters and all."""
    body = SDK.sign_data(dict(FIELDS)) + "&sign_type=RSA2"
    assert read_one(ADAPTER, posted(body.encode())) == PAYMENT


def test_sdk_accepts_what_these_tests_sign() -> None:
    """The tests sign as the sdk does."""
    assert is_accepted_by_sdk(PAID.body)
    assert not is_accepted_by_sdk(PAID.body.replace(b"88.80", b"00.01"))


@settings(deadline=None)
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


def test_payment() -> None:
    """A successful trade is a payment; its times are GMT+8, its key the notify_id."""
    assert ADAPTER.read(PAID).items == [contract.Item(FIELDS["notify_id"], PAYMENT)]
    finished = notice({"trade_status": "TRADE_FINISHED", "gmt_payment": None})
    said = read_one(ADAPTER, finished)
    assert said.occurred_at == NOTIFIED_AT
    assert events.transaction_id(said) == PAYMENT.transaction_id


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"])
def test_refund_says_that_it_was_paid_too(status: str) -> None:
    """A notice of a refund also tells of the payment, so a lost notice leaves nothing unpaid."""
    reading = ADAPTER.read(notice({**REFUND, "trade_status": status}))
    assert reading.items == [
        contract.Item(REFUND["notify_id"] + ":paid", PAYMENT),
        contract.Item(
            REFUND["notify_id"],
            events.RefundSucceeded(
                transaction_id=PAYMENT.transaction_id,
                order_no="SO-1001",
                refund_no="R-1",
                amount=Decimal("8.80"),
                cumulative=True,
                currency="CNY",
                occurred_at=REFUNDED_AT,
            ),
        ),
    ]


def test_refund_without_number_or_time() -> None:
    """A refund may lack its number and its time: the fee makes it one."""
    _, item = ADAPTER.read(notice({"refund_fee": "1", "out_biz_no": ""})).items
    assert isinstance(item.event, events.RefundSucceeded)
    assert (item.event.refund_no, item.event.occurred_at) == ("", NOTIFIED_AT)


@pytest.mark.parametrize("fee", [None, "", "0", "0.00"])
def test_closed_unpaid(fee: str | None) -> None:
    """A trade closed without a refund timed out unpaid."""
    closed = notice({"trade_status": "TRADE_CLOSED", "refund_fee": fee, "gmt_refund": ""})
    assert read_one(ADAPTER, closed) == events.Closed("SO-1001", "timed_out", NOTIFIED_AT)


@pytest.mark.parametrize("status", ["WAIT_BUYER_PAY", "TRADE_PENDING"])
def test_other_statuses_are_noted(status: str) -> None:
    """What is unpaid, or not documented, is noted and never taken for a payment."""
    said = read_one(ADAPTER, notice({**REFUND, "trade_status": status}))
    assert said == events.Noted(status, NOTIFIED_AT)


def test_other_notices_are_noted() -> None:
    """A notice of another type is noted by its type."""
    other = notice({"trade_status": None, "notify_type": "open_app_auth_notify"})
    assert read_one(ADAPTER, other) == events.Noted("open_app_auth_notify", NOTIFIED_AT)


@pytest.mark.parametrize("charset", ["gbk", "GBK", "gb2312"])
def test_gbk(charset: str) -> None:
    """A notice in GBK is verified on its own bytes, also where those are ASCII characters."""
    # The second byte of U+4E02 in GBK is "@", that of U+4E4A is "|", that of U+8AA0 "\\".
    said = notice({"charset": charset, "subject": "茶丂乊誠 100%"}, codec="gbk")
    assert read_one(ADAPTER, said) == PAYMENT


def test_charset_may_be_absent() -> None:
    """Without a charset it is UTF-8."""
    assert read_one(ADAPTER, notice({"charset": None})) == PAYMENT


@pytest.mark.parametrize("charset", ["utf-16", "", "utf8", "gb18030", "GBK\x00", "字"])
def test_other_charsets_are_unsupported(charset: str) -> None:
    """A charset that is not documented is refused even though the signature is right."""
    assert refusal(ADAPTER, notice({"charset": charset})) == "unsupported"


@pytest.mark.parametrize(
    ("charset", "codec"), [("utf-8", "gbk"), ("gbk", "latin-1"), ("utf-8", "latin-1")]
)
def test_undecodable_text_is_malformed(charset: str, codec: str) -> None:
    """Bytes that are not in the charset they name are refused."""
    subject = "茶" if codec == "gbk" else "\xff\xff"
    said = notice({"charset": charset, "subject": subject}, codec=codec)
    assert refusal(ADAPTER, said) == "malformed"


def test_certificate_mode() -> None:
    """The Alipay public certificate may stand for the key, followed by its issuer's."""
    chain = certificate(ALIPAYS_KEY) + certificate(NEXT_KEY)
    adapter = alipay.adapter(account(chain, app_id=APP_ID))
    assert adapter.read(PAID) == ADAPTER.read(PAID)
    assert refusal(adapter, notice(key=NEXT_KEY)) == "bad_signature"


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
    assert refusal(ADAPTER, notice(key=NEXT_KEY)) == "bad_signature"


def test_rsa2_is_pinned() -> None:
    """SHA-1 is refused under its own name, and does not pass under the name of RSA2."""
    sha1 = {"algorithm": hashes.SHA1()}  # noqa: S303 - it is what must be refused
    assert refusal(ADAPTER, notice(**sha1, sign_type="RSA")) == "unsupported"
    assert refusal(ADAPTER, notice(**sha1)) == "bad_signature"
    assert refusal(ADAPTER, notice(sign_type="MD5")) == "unsupported"
    assert refusal(ADAPTER, notice(sign_type="")) == "unsupported"


def test_keep_sign_type_is_an_option() -> None:
    """Old messages sign sign_type as well; only an account set so takes them."""
    old = notice(keep_sign_type=True)
    keeping = alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID, keep_sign_type=True))
    assert keeping.read(old) == ADAPTER.read(PAID)
    assert refusal(ADAPTER, old) == "bad_signature"
    assert refusal(keeping, PAID) == "bad_signature"


@pytest.mark.parametrize(
    ("options", "changes", "is_ours"),
    [
        ({}, {"app_id": "2021000000000000"}, False),
        ({}, {"app_id": None}, False),
        ({"seller_id": SELLER_ID}, {}, True),
        ({"seller_id": SELLER_ID}, {"seller_id": "2088000000000000"}, False),
        ({"seller_id": SELLER_ID}, {"seller_id": None}, False),
        ({"seller_email": "shop@example.com"}, {}, True),
        ({"seller_email": "shop@example.com"}, {"seller_email": "x@example.com"}, False),
        ({"seller_id": SELLER_ID, "seller_email": "shop@example.com"}, {}, True),
        (
            {"seller_id": SELLER_ID, "seller_email": "shop@example.com"},
            {"seller_email": None},
            True,
        ),
        ({"seller_id": SELLER_ID, "seller_email": "other@example.com"}, {}, False),
    ],
)
def test_ours(options: dict[str, str], changes: dict[str, str | None], is_ours: bool) -> None:
    """The app and, where configured, the payee must be ours."""
    adapter = alipay.adapter(account(pem(ALIPAYS_KEY), **{"app_id": APP_ID, **options}))
    if is_ours:
        assert adapter.read(notice(changes)) == ADAPTER.read(PAID)
    else:
        assert refusal(adapter, notice(changes)) == "not_ours"


def test_currency_is_an_option() -> None:
    """The account's currency decides the decimals of an amount."""
    adapter = alipay.adapter(account(pem(ALIPAYS_KEY), app_id=APP_ID, currency="JPY"))
    said = read_one(adapter, notice({"total_amount": "980.00"}))
    assert isinstance(said, events.PaymentSucceeded)
    assert (said.amount, said.currency) == (Decimal(980), "JPY")
    assert refusal(adapter, PAID) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"total_amount": None},
        {"total_amount": ""},
        {"total_amount": "-1.00"},
        {"total_amount": "+1.00"},
        {"total_amount": "88.801"},
        {"total_amount": "1e2"},
        {"total_amount": "1E+400"},
        {"total_amount": "NaN"},
        {"total_amount": "1_000"},
        {"total_amount": "1" * 13},
        {"total_amount": "1." + "0" * 4000},
        {"total_amount": "\u0661"},
        {"total_amount": " 1"},
        {"total_amount": "1\n"},
        {"out_trade_no": None},
        {"out_trade_no": "SO 1"},
        {"out_trade_no": "SO\n"},
        {"out_trade_no": "S\x00"},
        {"out_trade_no": "S" * 65},
        {"out_trade_no": "订单"},
        {"trade_no": ""},
        {"trade_no": "1" * 129},
        {"notify_id": None},
        {"notify_id": "n" * 129},
        {"notify_id": "a b"},
        {"trade_status": ""},
        {"trade_status": "TRADE SUCCESS"},
        {"trade_status": "T" * 129},
        {"gmt_payment": "2026-11-23T11:59:30"},
        {"gmt_payment": "2026-11-23 11:59:30\n"},
        {"gmt_payment": "2026-02-30 11:59:30"},
        {"gmt_payment": "2026-11-23 24:59:30"},
        {"gmt_payment": "0001-01-01 00:00:00"},
        {"gmt_payment": "9999-12-31 23:59:59"},
        {"gmt_payment": "", "notify_time": None},
        {**REFUND, "refund_fee": None},
        {**REFUND, "refund_fee": "0.00"},
        {**REFUND, "refund_fee": "-8.80"},
        {**REFUND, "gmt_refund": "yesterday"},
        {**REFUND, "out_biz_no": "R" * 129},
        {**REFUND, "total_amount": ""},
    ],
)
def test_malformed_notices_are_refused(changes: dict[str, str | None]) -> None:
    """What the ledger needs is there and in bounds, or the notice is refused."""
    assert refusal(ADAPTER, notice(changes)) == "malformed"


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
    """A form that is not the one that was signed is refused, whatever it looks like."""
    assert refusal(ADAPTER, posted(body)) == reason


@pytest.mark.parametrize("hidden", ["refund_fee", "gmt_refund", "trade_status", "seller_id"])
def test_folded_fields_are_refused(hidden: str) -> None:
    """A field that we act on can not be hidden in its neighbour's value under the signature."""
    form = dict(signed({**FIELDS, **REFUND}))
    names = sorted(name for name in form if name not in ("sign", "sign_type"))
    neighbour = names[names.index(hidden) - 1]
    form[neighbour] += f"&{hidden}=".encode() + form.pop(hidden)
    assert refusal(ADAPTER, posted(encoded(list(form.items())))) == "bad_signature"


@settings(deadline=None)
@given(st.permutations(signed({**FIELDS, **REFUND})), st.booleans())
def test_order_and_escaping_do_not_matter(form: list[tuple[str, bytes]], is_lower: bool) -> None:
    """The same fields in another order, escaped otherwise, are the very same notice."""
    body = b"&".join(
        b"%b=%b" % (name.encode(), b"".join(b"%%%02X" % byte for byte in value))
        for name, value in form
    )
    said = posted(body.lower().replace(b"rsa2", b"RSA2") if is_lower else body)
    assert ADAPTER.read(said) == ADAPTER.read(notice(REFUND))


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


@settings(deadline=None, max_examples=300)
@given(rearranged(sorted(signed({**FIELDS, **REFUND}))))
def test_rearranged_notices_never_change_the_message(form: list[tuple[str, bytes]]) -> None:
    """Whatever is done to the fields, the notice is refused or says the very same."""
    reading = verdict(ADAPTER, posted(encoded(form)))
    assert reading in (None, ADAPTER.read(notice(REFUND)))


@settings(deadline=None, max_examples=300)
@given(tampered(PAID.body))
def test_tampered_notices_never_change_the_message(body: bytes) -> None:
    """Whatever is done to the bytes, the notice is refused or says the very same."""
    assert verdict(ADAPTER, posted(body)) in (None, ADAPTER.read(PAID))


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text("a=&%+sign1", max_size=60).map(str.encode))
def test_any_bytes_are_refused(body: bytes) -> None:
    """No body makes anything but a refusal escape."""
    assert verdict(ADAPTER, posted(body)) is None


odd_text = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["", "0", "-0", "NaN", "1E+400", "9" * 3000, "TRADE_CLOSED", "gbk", "\x00"]),
    st.sampled_from(["2026-11-23 00:00:00.1234567891", "2000-01-01 00:00:00", "2099-12-31 23:59:59"]),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FIELDS | REFUND)), st.none() | odd_text, max_size=3))
def test_bent_notices_are_storable_or_refused(changes: dict[str, str | None]) -> None:
    """Whatever Alipay itself might sign, it is refused or it can be stored."""
    verdict(ADAPTER, notice({**REFUND, **changes}))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [("accepted", 200, b"success"), ("later", 503, b"fail"), ("refused", 400, b"fail")],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Accepted is exactly seven bytes; nothing else begins like it."""
    reply = ADAPTER.reply(answer)
    assert (reply.status, reply.body) == (status, body)


def test_wrong_configuration() -> None:
    """A wrong account does not start and says what to set."""
    good = pem(ALIPAYS_KEY)
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - too small
    curve = ec.generate_private_key(ec.SECP256R1())
    ours = {"app_id": APP_ID}
    cases: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
        ((), ours, "1 or 2 secrets"),
        ((good,) * 3, ours, "1 or 2 secrets"),
        (("",), ours, "Alipay's public key"),
        (("not a key",), ours, "Alipay's public key"),
        (("\udcff",), ours, "Alipay's public key"),
        ((good[:200],), ours, "Alipay's public key"),
        ((private_pem(ALIPAYS_KEY),), ours, "Alipay's public key"),
        (("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",), ours, "Alipay's"),
        ((pem(small),), ours, "2048 bits"),
        ((pem(curve),), ours, "RSA"),
        ((good,), {}, "app_id"),
        ((good,), {"app_id": 2021}, "app_id"),
        ((good,), {"app_id": ""}, "app_id"),
        ((good,), {**ours, "seller_id": "x"}, "seller_id"),
        ((good,), {**ours, "currency": "RMB"}, "ISO 4217"),
        ((good,), {**ours, "sign_type": "RSA"}, "sign_type"),
    ]
    for secrets, options, says in cases:
        with pytest.raises(ValueError, match=says) as caught:
            alipay.adapter(account(*secrets, **options))
        assert "shop" in str(caught.value)
        assert "PRIVATE" not in str(caught.value)
