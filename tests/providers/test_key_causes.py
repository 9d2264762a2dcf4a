"""A key that is refused for its shape is told what really is wrong with it, at every provider."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from gateway.domain import errors
from gateway.providers import contract, standard_webhooks, unionpay
from gateway.providers.shared import keys

from . import paypal_samples, unionpay_samples
from .der import of_version
from .der import pem as der_pem
from .support import NOW, account

NAME = paypal_samples.NAME
ISSUER, ROOT = paypal_samples.ISSUER, paypal_samples.ROOT
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
RSA = unionpay_samples.new_key("unionpay")


def public(key: Any) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode())


def private(key: Any, encoding: Any = serialization.Encoding.PEM, form: Any = None) -> bytes:
    form = form or serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def bare(text: str | bytes) -> str:
    lines = (text if isinstance(text, str) else text.decode()).splitlines()
    return "".join(line for line in lines if not line.startswith("-----"))


def request() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(RSA, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def sm2() -> str:
    """Return a certificate whose key says that it is one of China's own curve."""
    made = paypal_samples.certificate(NAME, CURVE)
    der = made.public_bytes(serialization.Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert curve in der
    # 1.2.156.10197.1.301, which takes as many bytes.
    return der_pem(der.replace(curve, bytes.fromhex("06082a811ccf5501822d")))


SECRETS: dict[str, tuple[str, str]] = {
    "a private key": (private(RSA).decode(), "not a public key but a private key"),
    "a private key of the old form": (
        private(RSA, form=serialization.PrivateFormat.TraditionalOpenSSL).decode(),
        "not a public key but a private key",
    ),
    "a private key as a console shows it": (
        bare(private(RSA)),
        "not a public key but a private key",
    ),
    "a private key of the old form, bare": (
        bare(private(RSA, form=serialization.PrivateFormat.TraditionalOpenSSL)),
        "not a public key but a private key",
    ),
    "a request": (request(), "not a public key but a request for a certificate"),
    "OpenSSH": ("ssh-rsa AAAAB3NzaC1yc2E= shop", "the format of OpenSSH"),
    "a short key": (public(SHORT), "RSA of 1024 bits, fewer than 2048"),
    "a short key, bare": (bare(public(SHORT)), "RSA of 1024 bits, fewer than 2048"),
    "a curve": (public(CURVE), "an elliptic curve key, not RSA"),
    "an Edwards curve": (public(EDWARDS), "an Ed25519 key, not RSA"),
    "a certificate of a curve": (
        paypal_samples.pem(paypal_samples.certificate(NAME, CURVE)),
        "an elliptic curve key, not RSA",
    ),
    "a certificate of SM2": (sm2(), "of a kind that is not supported, such as SM2"),
    "a certificate of version 5": (
        of_version(paypal_samples.certificate(NAME, RSA), 5, RSA),
        "X.509 version that does not exist",
    ),
    "a damaged certificate": (
        paypal_samples.pem(ISSUER)[:200] + "\n-----END CERTIFICATE-----\n",
        "is damaged",
    ),
    "words": ("my key", "not a public key: give"),
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_configured_key_says_what_it_is(case: str) -> None:
    secret, says = SECRETS[case]
    with pytest.raises(ValueError, match="give Alipay's key") as caught:
        keys.public_key(account(), secret, whose="Alipay's key")
    assert says in str(caught.value)


def test_a_key_of_a_certificate_counts_whatever_its_version() -> None:
    """Where the merchant says whose it is, the certificate adds nothing."""
    first = of_version(paypal_samples.certificate(NAME, RSA), 1, RSA)
    assert keys.public_key(account(), first, whose="Alipay's key") == RSA.public_key()


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (private(RSA).decode(), "not a certificate as PEM but a private key"),
        (public(RSA), "not a certificate as PEM but a public key"),
        (request(), "not a certificate as PEM but a request for a certificate"),
        (SECRETS["a damaged certificate"][0], "a certificate that is damaged"),
        ("words", "not a certificate as PEM: give"),
    ],
)
def test_a_configured_certificate_says_what_it_is(secret: str, says: str) -> None:
    with pytest.raises(ValueError, match="give the chain") as caught:
        keys.certificates(account(), secret, whose="the chain")
    assert says in str(caught.value)


def _leaf(**how: Any) -> x509.Certificate:
    return paypal_samples.certificate(
        NAME, paypal_samples.KEY, ISSUER, paypal_samples.ISSUER_KEY, **how
    )


def _issuer_of(key: Any, **how: Any) -> x509.Certificate:
    made = {"is_issuer": True, **how}
    return paypal_samples.certificate("Issuer", key, ROOT, paypal_samples.ROOT_KEY, **made)


FIRST_LEAF = of_version(_leaf(), 1, paypal_samples.ISSUER_KEY)
FIRST_ISSUER = of_version(ISSUER, 1, paypal_samples.ROOT_KEY)
DOCUMENTS: dict[str, tuple[str, str]] = {
    "a certificate of version 1": (
        FIRST_LEAF + paypal_samples.pem(ISSUER),
        "PayPal's certificate is X.509 version 1",
    ),
    "an issuer of version 1": (
        paypal_samples.pem(_leaf()) + FIRST_ISSUER,
        "its issuer is X.509 version 1",
    ),
    "a certificate of version 5": (
        of_version(_leaf(), 5, paypal_samples.ISSUER_KEY),
        "a certificate at PAYPAL-CERT-URL is of an X.509 version that does not exist",
    ),
    "no issuer": (paypal_samples.pem(_leaf()), "its issuer is neither at PAYPAL-CERT-URL nor in"),
    "its own issuer": (
        paypal_samples.pem(paypal_samples.certificate(NAME, RSA)),
        "is its own issuer",
    ),
    "another signature": (
        paypal_samples.pem(
            paypal_samples.certificate(NAME, RSA, ISSUER, paypal_samples.FOREIGN_KEY), ISSUER
        ),
        "is not signed by the issuer that it names",
    ),
    "no authority": (
        paypal_samples.pem(_leaf(), _issuer_of(paypal_samples.ISSUER_KEY, is_issuer=False)),
        "its issuer may not issue certificates",
    ),
    "a short key above": (
        paypal_samples.pem(paypal_samples.certificate(NAME, RSA, ISSUER, SHORT), _issuer_of(SHORT)),
        "RSA key is too weak",
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_of_paypal_says_why_it_is_not_trusted(case: str) -> None:
    content, says = DOCUMENTS[case]
    adapter = paypal_samples.unlearned()
    assert isinstance(adapter, contract.Learner)
    with pytest.raises(errors.Rejected) as caught:
        adapter.learn(paypal_samples.URL, content.encode(), now=NOW)
    assert caught.value.reason == "bad_signature"
    assert says in caught.value.hint


SENDERS: dict[str, tuple[str, str]] = {
    "short": ("whsec_" + "AAAA" * 5, "has a secret of 15 bytes, not of 24 to 64"),
    "long": ("whsec_" + "AAAA" * 22, "has a secret of 66 bytes, not of 24 to 64"),
    "of URLs": ("whsec_" + "AA-_" * 8, "URL-safe base64: the standard alphabet"),
    "not base64": ("whsec_" + "A:A.", "not base64 after whsec_"),
    "nothing": ("whsec_", "nothing after whsec_"),
    "a short public key": ("whpk_" + "AAAA" * 4, "a public key of 12 bytes, not of 32: Ed25519"),
    "a private key": ("whsk_" + "AAAA" * 16, "the sender's private key"),
}


@pytest.mark.parametrize("case", SENDERS)
def test_a_secret_of_standard_webhooks_says_what_it_is(case: str) -> None:
    secret, says = SENDERS[case]
    with pytest.raises(ValueError, match="account 'shop'") as caught:
        standard_webhooks.adapter(account(secret))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("roots", "says"),
    [
        (of_version(ROOT, 1, paypal_samples.ROOT_KEY), "in roots that is X.509 version 1"),
        (paypal_samples.pem(_leaf()), "in roots that is one that may not issue others"),
    ],
)
def test_a_root_that_can_never_be_trusted_is_refused(roots: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        paypal_samples.unlearned(roots=roots)


def _carried(made: str) -> str:
    with pytest.raises(errors.Rejected) as caught:
        unionpay_samples.ADAPTER.read(unionpay_samples.notice(carried=made))
    assert caught.value.reason == "bad_signature"
    return caught.value.hint


UNIONPAY: dict[str, tuple[str, str]] = {
    "two certificates": (unionpay_samples.LEAF * 2, "is not one certificate but 2"),
    "words": ("words", "is not one certificate as PEM"),
    "a public key": (public(RSA), "is not one certificate as PEM"),
    "a short key": (unionpay_samples.leaf(key=SHORT), "RSA of 1024 bits, fewer than 2048"),
    "SM2": (sm2(), "of a kind that is not supported, such as SM2"),
    "version 5": (
        of_version(x509.load_pem_x509_certificate(unionpay_samples.LEAF.encode()), 5, RSA),
        "X.509 version that does not exist",
    ),
    "a critical extension": (
        unionpay_samples.leaf(
            unionpay_samples.LEAF_NAME,
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
        ),
        "has a critical extension that is not known here",
    ),
    "another signature": (
        unionpay_samples.certificate(
            unionpay_samples.LEAF_NAME, unionpay_samples.OCA_NAME, RSA, RSA
        ),
        "names a configured issuer, but is not signed by its key",
    ),
    "another issuer": (
        unionpay_samples.certificate(
            unionpay_samples.LEAF_NAME, unionpay_samples.named("Another"), RSA, RSA
        ),
        "was not issued by a configured certificate",
    ),
}


@pytest.mark.parametrize("case", UNIONPAY)
def test_a_certificate_of_unionpay_says_why_it_is_not_trusted(case: str) -> None:
    made, says = UNIONPAY[case]
    assert says in _carried(made)


def test_an_issuer_of_version_1_is_refused() -> None:
    """It says nothing of what its key is for."""
    root = x509.load_pem_x509_certificate(unionpay_samples.root().encode())
    with pytest.raises(ValueError, match=r"is X\.509 version 1"):
        unionpay.adapter(
            account(of_version(root, 1, unionpay_samples.new_key("root")), mer_id="777290058110048")
        )
