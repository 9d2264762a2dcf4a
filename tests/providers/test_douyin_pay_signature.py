"""How Douyin Pay's adapter checks signature, freshness and encryption."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import errors
from gateway.providers import contract, douyin_pay
from ops.simulators.shared import apiv3

from .apiv3_samples import (
    CERTIFICATE,
    FOREIGN_KEY,
    KEY,
    NEXT_KEY,
    NEXT_SECRET,
    NONCE,
    PAYMENT,
    SECRET,
    callback,
    encrypted,
)
from .douyin_pay_samples import ADAPTER, OPTIONS, PAID, SERIAL, adapter, signed
from .support import NOW, NOW_S, account, header_values, message, rejection, tampered, verdict
from .wechatpay_samples import PAID as WECHAT_PAID

_HEADERS = ["Timestamp", "Nonce", "Serial", "Signature"]
_RETRIES_S = 24 * 3600 + 4 * 60


def changed(**changes: str) -> contract.Message:
    """Return the paid callback with some of its headers exchanged."""
    new = {f"Douyinpay-{name}": value for name, value in changes.items()}
    return message(PAID.body, {**PAID.headers, **new})


def test_certificates_are_chosen_by_serial() -> None:
    """While certificates change, each signs under its own serial and under no other."""
    newer = apiv3.certificate_pem(NEXT_KEY, subject="newer")
    serial = f"{x509.load_pem_x509_certificate(newer.encode()).serial_number:X}"
    both = adapter(certificates=[CERTIFICATE, newer])
    assert both.read(PAID).items
    assert both.read(signed(PAID.body, serial=serial, key=NEXT_KEY)).items
    assert rejection(both, signed(PAID.body, serial=SERIAL, key=NEXT_KEY)) == "bad_signature"
    with pytest.raises(errors.Rejected, match="fetch the provider's current certificates"):
        ADAPTER.read(signed(PAID.body, serial=serial, key=NEXT_KEY))


@pytest.mark.parametrize("name", _HEADERS)
def test_every_header_is_needed(name: str) -> None:
    """Without one of the four headers there is nothing to verify."""
    rest = {key: each for key, each in PAID.headers.items() if key != f"Douyinpay-{name}"}
    assert rejection(ADAPTER, message(PAID.body, rest)) == "missing_signature"


def test_other_providers_headers_are_none() -> None:
    """A callback in WeChat Pay's headers is not one of Douyin Pay's, whichever key signed it."""
    assert rejection(ADAPTER, WECHAT_PAID) == "missing_signature"


@pytest.mark.parametrize(
    ("tolerance_s", "offset_s", "reason"),
    [
        (300, -301, "stale"),
        (300, -300, None),
        (300, 300, None),
        (300, 301, "stale"),
        (_RETRIES_S, -_RETRIES_S, None),
        (_RETRIES_S, -_RETRIES_S - 1, "stale"),
    ],
)
def test_window(tolerance_s: int, offset_s: int, reason: str | None) -> None:
    """The window is 300 s and can be opened to the length of all retries."""
    ours = adapter(tolerance_s=tolerance_s)
    received = signed(PAID.body, at=NOW_S + offset_s)
    if reason:
        assert rejection(ours, received) == reason
    else:
        assert ours.read(received).items


def test_an_expired_certificate_proves_nothing() -> None:
    """A platform certificate counts only while it is valid."""
    now = datetime(2099, 6, 1, tzinfo=UTC)
    received = signed(PAID.body, at=int(now.timestamp()))
    assert (
        rejection(ADAPTER, contract.Message(received.headers, received.body, now))
        == "bad_signature"
    )


@pytest.mark.parametrize("signature", ["AA==", "A" * 344, "====", "\udce4", "%", "WECHATPAY/SIG"])
def test_signatures_that_are_none(signature: str) -> None:
    """Base64 garbage and signatures of the wrong length are rejected."""
    assert rejection(ADAPTER, changed(Signature=signature)) == "bad_signature"


def test_other_algorithms_prove_nothing() -> None:
    """The right key with another hash or another padding is not accepted."""
    text = b"%d\n%b\n%b\n" % (NOW_S, NONCE.encode(), PAID.body)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    for signature in (
        KEY.sign(text, padding.PKCS1v15(), hashes.SHA1()),
        KEY.sign(text, pss, hashes.SHA256()),
        hashlib.sha256(text).digest(),
    ):
        received = changed(Signature=base64.b64encode(signature).decode())
        assert rejection(ADAPTER, received) == "bad_signature"
    assert rejection(ADAPTER, signed(PAID.body, key=FOREIGN_KEY)) == "bad_signature"


def test_keys_in_both_notations() -> None:
    """The key for encryption is 32 characters, or base64 of 32 bytes; both may be live at once."""
    raw = hashlib.sha256(b"key").digest()
    both = adapter(base64.b64encode(raw).decode(), NEXT_SECRET)
    for secret in (raw, NEXT_SECRET.encode()):
        resource = encrypted(PAYMENT, secret=secret)
        received = signed(callback("PAYMENT.SUCCESS", {}, resource=resource))
        assert both.read(received) == ADAPTER.read(PAID)
    with pytest.raises(errors.Rejected, match="APIv3 key") as caught:
        both.read(PAID)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("AEAD_AES_256_GCM", None),
        ("AEAD-AES-256-GCM", None),
        ("SM4", "unsupported"),
        ("AES", "unsupported"),
        ("", "unsupported"),
    ],
)
def test_algorithms(algorithm: str, reason: str | None) -> None:
    """Both ways to write the one algorithm are known, and no other algorithm."""
    resource = encrypted(PAYMENT, algorithm=algorithm)
    received = signed(callback("PAYMENT.SUCCESS", {}, resource=resource))
    if reason:
        assert rejection(ADAPTER, received) == reason
    else:
        assert ADAPTER.read(received) == ADAPTER.read(PAID)


@given(tampered(PAID.body))
def test_tampered_bodies_are_rejected(body: bytes) -> None:
    """A body that differs in any byte is rejected."""
    if body != PAID.body:
        assert verdict(ADAPTER, message(body, PAID.headers)) is None


@given(st.sampled_from(_HEADERS), st.data())
def test_tampered_headers_never_change_the_message(name: str, data: st.DataObject) -> None:
    """A modified header is rejected, or verifies the same message."""
    true = PAID.headers[f"Douyinpay-{name}"].encode()
    text = data.draw(tampered(true)).decode("utf-8", "surrogateescape")
    assert verdict(ADAPTER, changed(**{name: text})) in (None, ADAPTER.read(PAID))


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(_HEADERS), header_values))
def test_any_bytes_are_rejected(body: bytes, headers: dict[str, str]) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    received = changed(**headers)
    assert verdict(ADAPTER, contract.Message(received.headers, body, NOW)) is None


@pytest.mark.parametrize(
    ("secrets", "changes", "says"),
    [
        ((), {}, "1 or 2 secrets"),
        (("",), {}, "32 characters"),
        ((SECRET[:-1],), {}, "32 characters"),
        ((base64.b64encode(b"x" * 31).decode(),), {}, "32 characters"),
        (("=" * 44,), {}, "32 characters"),
        ((SECRET,), {"mchid": "shop"}, "mchid"),
        ((SECRET,), {"certificates": []}, "certificates"),
        ((SECRET,), {"certificates": ["x"]}, "platform certificate"),
        ((SECRET,), {"public_keys": []}, "public_keys"),
        ((SECRET,), {"sub_mchids": []}, "sub_mchids"),
        ((SECRET,), {"tolerance_s": _RETRIES_S + 1}, "tolerance_s"),
        ((SECRET,), {"payment_events": ["A B"]}, "payment_event"),
        ((SECRET,), {"currency": "RMB"}, "currency"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], changes: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        douyin_pay.adapter(account(*secrets, **(OPTIONS | changes)))
    assert "shop" in str(caught.value)
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)
