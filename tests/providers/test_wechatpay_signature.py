"""How WeChat Pay's adapter checks signature, freshness and encryption."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.domain import errors
from gateway.providers import contract, wechatpay
from ops.simulators.shared import apiv3, rsa_keys

from .apiv3_samples import (
    CERTIFICATE,
    FOREIGN_KEY,
    KEY,
    MCHID,
    NEXT_KEY,
    NEXT_SECRET,
    NONCE,
    PAYMENT,
    SECRET,
    callback,
    encrypted,
)
from .support import NOW, NOW_S, account, header_values, message, rejection, tampered, verdict
from .wechatpay_samples import ADAPTER, OPTIONS, PAID, PUBLIC_KEY_ID, SERIAL, adapter, signed

_HEADERS = ["Timestamp", "Nonce", "Serial", "Signature"]


def changed(**changes: str) -> contract.Message:
    """Return the paid callback with some of its headers exchanged."""
    new = {f"Wechatpay-{name.replace('_', '-')}": value for name, value in changes.items()}
    return message(PAID.body, {**PAID.headers, **new})


@pytest.mark.parametrize("serial", [SERIAL, PUBLIC_KEY_ID], ids=["certificate", "public key"])
def test_both_keys_are_live(serial: str) -> None:
    """The serial chooses the certificate or the public key, message by message."""
    received = signed(PAID.body, serial=serial)
    assert ADAPTER.read(received) == ADAPTER.read(PAID)


def test_the_serial_and_no_other_chooses_the_key() -> None:
    """A signature by another live key than the one that is named proves nothing."""
    assert rejection(ADAPTER, signed(PAID.body, serial=SERIAL, key=NEXT_KEY)) == "bad_signature"
    assert rejection(ADAPTER, signed(PAID.body, serial=PUBLIC_KEY_ID, key=KEY)) == "bad_signature"


@pytest.mark.parametrize(
    "serial",
    [SERIAL.lower(), f"0{SERIAL}", SERIAL.lstrip("0")],
    ids=["lower case", "a zero more", "no zero"],
)
def test_a_serial_is_a_number(serial: str) -> None:
    """Case and leading zeros of a certificate's serial do not matter."""
    assert ADAPTER.read(changed(Serial=serial)) == ADAPTER.read(PAID)


@pytest.mark.parametrize("serial", ["1" * 40, "PUB_KEY_ID_0", "ß", "\udce4", "0", "../x"])
def test_an_unknown_serial_names_the_remedy(serial: str) -> None:
    """An unknown key is a rejection whose hint says where to get it."""
    with pytest.raises(
        errors.Rejected, match="fetch the provider's current certificates"
    ) as caught:
        ADAPTER.read(changed(Serial=serial))
    assert caught.value.reason == "bad_signature"


@pytest.mark.parametrize("mode", ["certificates", "public_keys"])
def test_either_kind_of_key_is_enough(mode: str) -> None:
    """An account that has moved, or has not begun to, has one kind of key."""
    only = adapter(**{mode: []})
    serials = {SERIAL: "certificates", PUBLIC_KEY_ID: "public_keys"}
    for serial, kind in serials.items():
        received = signed(PAID.body, serial=serial)
        if kind == mode:
            assert rejection(only, received) == "bad_signature"
        else:
            assert only.read(received).items


@pytest.mark.parametrize("name", _HEADERS)
@pytest.mark.parametrize("value", [None, ""])
def test_every_header_is_needed(name: str, value: str | None) -> None:
    """Without one of the four headers there is nothing to verify."""
    rest = {key: each for key, each in PAID.headers.items() if key != f"Wechatpay-{name}"}
    if value is not None:
        rest[f"Wechatpay-{name}"] = value
    assert rejection(ADAPTER, message(PAID.body, rest)) == "missing_signature"


def test_header_names_have_no_case() -> None:
    """Proxies write header names as they like."""
    lower = {name.lower(): value for name, value in PAID.headers.items()}
    assert ADAPTER.read(message(PAID.body, lower)) == ADAPTER.read(PAID)


@pytest.mark.parametrize(
    "signature",
    ["WECHATPAY/SIGNTEST/", "WECHATPAY/SIGNTEST/ABC=", "WECHATPAY/SIGNTEST/" + "\udce4"],
)
def test_probes_are_rejected_as_such(signature: str) -> None:
    """A probe is rejected as ``probe``, and its content is not decoded."""
    assert rejection(ADAPTER, changed(Signature=signature)) == "probe"
    assert ADAPTER.reply("rejected").status >= 400


def test_the_callback_after_a_probe_is_taken() -> None:
    """The rightly signed repeat of a probe is as usual."""
    received = changed(Signature="WECHATPAY/SIGNTEST/" + PAID.headers["Wechatpay-Signature"])
    assert rejection(ADAPTER, received) == "probe"
    assert ADAPTER.read(PAID).items


@pytest.mark.parametrize(
    ("signature_type", "reason"),
    [
        ("WECHATPAY2-SHA256-RSA2048", None),
        ("WECHATPAY2-SM2-WITH-SM3", "unsupported"),
        ("WECHATPAY2-SHA256-RSA1024", "unsupported"),
        ("none", "unsupported"),
        ("", "unsupported"),
        ("\udce4", "unsupported"),
    ],
)
def test_the_algorithm_is_pinned(signature_type: str, reason: str | None) -> None:
    """The header may name the one algorithm or nothing; it never chooses."""
    received = changed(Signature_Type=signature_type)
    if reason:
        assert rejection(ADAPTER, received) == reason
    else:
        assert ADAPTER.read(received).items


@pytest.mark.parametrize(
    ("offset_s", "reason"), [(-301, "stale"), (-300, None), (0, None), (300, None), (301, "stale")]
)
def test_window(offset_s: int, reason: str | None) -> None:
    """300 seconds are allowed in the past and in the future, both ends included."""
    received = signed(PAID.body, at=NOW_S + offset_s)
    if reason:
        assert rejection(ADAPTER, received) == reason
    else:
        assert ADAPTER.read(received).items


def test_window_is_an_option() -> None:
    """tolerance_s narrows the window."""
    assert rejection(adapter(tolerance_s=30), signed(PAID.body, at=NOW_S - 31)) == "stale"


@pytest.mark.parametrize("stamp", [f"+{NOW_S}", f"0{NOW_S}", f"{NOW_S}.0", "\u0661", "9" * 20, "x"])
def test_timestamps_are_unix_seconds(stamp: str) -> None:
    """A timestamp in another notation is not what was signed."""
    assert rejection(ADAPTER, changed(Timestamp=stamp)) == "bad_signature"


def test_bytes_do_not_move_between_nonce_and_body() -> None:
    """The signed text has no room to shift the border between nonce and body."""
    body = b"x\n" + PAID.body
    whole = signed(body)
    moved = dict(whole.headers) | {"Wechatpay-Nonce": f"{NONCE}\nx"}
    assert rejection(ADAPTER, message(PAID.body, moved)) == "bad_signature"


@pytest.mark.parametrize("nonce", ["n" * 129, "n\n", "n\x00", "é", "\udce4"])
def test_malformed_nonces_are_rejected(nonce: str) -> None:
    """A nonce is short plain ASCII."""
    assert rejection(ADAPTER, changed(Nonce=nonce)) == "bad_signature"


@pytest.mark.parametrize(
    "signature",
    ["AA==", "A" * 344, "A" * 10_000, "====", "\udce4", "%", "é", " ", "\x00"],
)
def test_signatures_that_are_none(signature: str) -> None:
    """Base64 garbage and signatures of the wrong length are rejected."""
    assert rejection(ADAPTER, changed(Signature=signature)) == "bad_signature"


def test_other_algorithms_prove_nothing() -> None:
    """The right key with another hash or another padding is not accepted."""
    text = b"%d\n%b\n%b\n" % (NOW_S, NONCE.encode(), PAID.body)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    for scheme, digest in (
        (padding.PKCS1v15(), hashes.SHA1()),
        (padding.PKCS1v15(), hashes.SHA512()),
        (pss, hashes.SHA256()),
    ):
        signature = base64.b64encode(KEY.sign(text, scheme, digest)).decode()
        assert rejection(ADAPTER, changed(Signature=signature)) == "bad_signature"


def test_a_foreign_key_proves_nothing() -> None:
    """A signature of another key under a valid serial is rejected."""
    assert rejection(ADAPTER, signed(PAID.body, key=FOREIGN_KEY)) == "bad_signature"


def test_the_first_of_two_headers_counts_and_must_be_true() -> None:
    """A second signature neither helps a wrong first one nor harms a right one."""
    wrong = CIMultiDict({**PAID.headers, "Wechatpay-Signature": "AA=="})
    wrong.add("Wechatpay-Signature", PAID.headers["Wechatpay-Signature"])
    assert rejection(ADAPTER, contract.Message(wrong, PAID.body, NOW)) == "bad_signature"


def test_ten_thousand_headers() -> None:
    """Additional headers have no effect."""
    many = {**PAID.headers, **{f"X-{number}": "é\udce4" for number in range(10_000)}}
    assert ADAPTER.read(message(PAID.body, many)) == ADAPTER.read(PAID)


def test_an_expired_certificate_proves_nothing() -> None:
    """A platform certificate counts while it is valid; a public key has no such end."""
    for now in (datetime(2019, 1, 1, tzinfo=UTC), datetime(2099, 6, 1, tzinfo=UTC)):
        at = int(now.timestamp())
        for serial, reason in ((SERIAL, "bad_signature"), (PUBLIC_KEY_ID, None)):
            received = signed(PAID.body, serial=serial, at=at)
            late = contract.Message(received.headers, received.body, now)
            if reason:
                assert rejection(ADAPTER, late) == reason
            else:
                assert ADAPTER.read(late).items


def test_the_only_clock_is_the_messages() -> None:
    """A year later the same message is stale."""
    later = contract.Message(PAID.headers, PAID.body, NOW + timedelta(days=365))
    assert rejection(ADAPTER, later) == "stale"


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
def test_either_apiv3_key_decrypts(secret: str) -> None:
    """While the APIv3 key is changed, what was encrypted under either is read."""
    resource = encrypted(PAYMENT, secret=secret.encode())
    received = signed(callback("TRANSACTION.SUCCESS", {}, resource=resource))
    assert adapter(NEXT_SECRET, SECRET).read(received) == ADAPTER.read(PAID)
    if secret == NEXT_SECRET:
        with pytest.raises(errors.Rejected, match="APIv3 key") as caught:
            ADAPTER.read(received)
        assert caught.value.reason == "malformed"


@pytest.mark.parametrize("extra", ["", None, "附加"])
def test_associated_data_may_be_missing(extra: str | None) -> None:
    """Missing associated data is empty associated data."""
    resource = encrypted(PAYMENT, associated_data=extra)
    body = callback("TRANSACTION.SUCCESS", {}, resource=resource)
    assert ADAPTER.read(signed(body)) == ADAPTER.read(PAID)
    if extra is None:
        del resource["associated_data"]
        assert ADAPTER.read(signed(body)) == ADAPTER.read(PAID)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"algorithm": "AEAD-AES-256-GCM"}, "unsupported"),
        ({"algorithm": "AEAD_SM4_GCM"}, "unsupported"),
        ({"algorithm": "none"}, "unsupported"),
        ({"ciphertext": "%%%"}, "malformed"),
        ({"ciphertext": ""}, "malformed"),
        ({"ciphertext": "AAAA"}, "malformed"),
        ({"ciphertext": "é"}, "malformed"),
        ({"nonce": ""}, "malformed"),
        ({"nonce": "0" * 200}, "malformed"),
        ({"nonce": "éééééééééééé"}, "malformed"),
        ({"nonce": "0123456789aB"}, "malformed"),
        ({"associated_data": "refund"}, "malformed"),
        ({"associated_data": ""}, "malformed"),
    ],
)
def test_resources_that_do_not_open(changes: dict[str, Any], reason: str) -> None:
    """A signed resource that cannot be decrypted is rejected."""
    resource = encrypted(PAYMENT) | changes
    received = signed(callback("TRANSACTION.SUCCESS", {}, resource=resource))
    assert rejection(ADAPTER, received) == reason


@given(tampered(PAID.body))
def test_tampered_bodies_are_rejected(body: bytes) -> None:
    """A body that differs in any byte is rejected."""
    if body != PAID.body:
        assert verdict(ADAPTER, message(body, PAID.headers)) is None


@given(st.sampled_from(_HEADERS), st.data())
def test_tampered_headers_never_change_the_message(name: str, data: st.DataObject) -> None:
    """A modified header is rejected, or verifies the same message."""
    true = PAID.headers[f"Wechatpay-{name}"].encode()
    text = data.draw(tampered(true)).decode("utf-8", "surrogateescape")
    assert verdict(ADAPTER, changed(**{name: text})) in (None, ADAPTER.read(PAID))


@given(
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from([*_HEADERS, "Signature_Type"]), header_values),
)
def test_any_bytes_are_rejected(body: bytes, headers: dict[str, str]) -> None:
    """Arbitrary bodies and headers raise ``Rejected`` and nothing else."""
    received = changed(**headers)
    assert verdict(ADAPTER, contract.Message(received.headers, body, NOW)) is None


@pytest.mark.parametrize(
    ("secrets", "changes", "says"),
    [
        ((), {}, "1 or 2 secrets"),
        ((SECRET, NEXT_SECRET, SECRET), {}, "1 or 2 secrets"),
        (("",), {}, "APIv3 key"),
        ((SECRET[:-1],), {}, "32 characters"),
        ((SECRET + "\n",), {}, "32 characters"),
        ((SECRET[:-1] + "é",), {}, "32 characters"),
        (("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=",), {}, "32 characters"),
        ((SECRET,), {"mchid": None}, "mchid"),
        ((SECRET,), {"mchid": "shop"}, "mchid"),
        ((SECRET,), {"mchid": 1900000109}, "mchid"),
        ((SECRET,), {"appid": "wx"}, "appid"),
        ((SECRET,), {"appids": "wx"}, "appids"),
        ((SECRET,), {"currency": "RMB"}, "currency"),
        ((SECRET,), {"tolerance_s": 0}, "tolerance_s"),
        ((SECRET,), {"certificates": [], "public_keys": []}, "nothing could be verified"),
        ((SECRET,), {"certificates": ["x"]}, "platform certificate"),
        ((SECRET,), {"certificates": [rsa_keys.public_pem(KEY)]}, "platform certificate"),
        ((SECRET,), {"certificates": [CERTIFICATE * 2]}, "several certificates"),
        ((SECRET,), {"public_keys": [{"id": "A", "pem": "x"}]}, "public_key"),
        ((SECRET,), {"public_keys": [{"id": PUBLIC_KEY_ID, "pem": "x"}]}, "public key"),
        ((SECRET,), {"public_keys": [{"id": PUBLIC_KEY_ID}]}, "pem"),
        ((SECRET,), {"public_keys": [rsa_keys.public_pem(KEY)]}, "public_key"),
        (
            (SECRET,),
            {"public_keys": [{"id": PUBLIC_KEY_ID, "pem": rsa_keys.private_pem(KEY)}]},
            "not a public key",
        ),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], changes: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    options = OPTIONS | changes
    if options["mchid"] is None:
        del options["mchid"]
    with pytest.raises(ValueError, match=says) as caught:
        wechatpay.adapter(account(*secrets, **options))
    assert "shop" in str(caught.value)
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)


def test_weak_keys_are_not_configured() -> None:
    """A certificate over 1024 bits does not verify anything."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(ValueError, match="2048 bits"):
        adapter(certificates=[apiv3.certificate_pem(weak, subject="weak")])


def test_a_certificate_names_its_own_serial() -> None:
    """The serial is the certificate's, not a configured one."""
    certificate = x509.load_pem_x509_certificate(CERTIFICATE.encode())
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    received = signed(PAID.body, serial=f"{certificate.serial_number:X}")
    assert adapter(certificates=[f"\n  {pem}"], public_keys=[], mchid=MCHID).read(received).items
