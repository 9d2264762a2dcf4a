"""PayPal's signing certificate: from the document at its URL to a trusted key.

The document comes from one of PayPal's own hosts over TLS. It is verified nevertheless: PayPal
requires it, and a URL of those hosts might serve content that others wrote.
"""

import warnings
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from gateway.domain import errors
from gateway.providers.shared import keys

#: A leaf, its issuers and a reserve; bounded because each costs time.
CERTIFICATES_MAX = 8
_NAME_ENDS = ".paypal.com"


def read(pem: bytes) -> Sequence[x509.Certificate]:
    """Read one or more certificates. Raises one of ``keys.CERTIFICATE_FAULTS``."""
    return x509.load_pem_x509_certificates(pem)


def signer(content: bytes, *, roots: Sequence[x509.Certificate], now: datetime) -> keys.Signer:
    """Verify a PEM bundle: PayPal's name, valid now, and a chain up to a trusted root.

    Raises ``Rejected``.
    """
    try:
        # The library warns about unusual fields, even of a certificate that is not trusted.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _signer(content, roots, now)
    except keys.CERTIFICATE_FAULTS:
        raise _untrusted("the text at PAYPAL-CERT-URL is not a certificate as PEM") from None
    except verification.VerificationError:
        raise _untrusted(
            "the certificate at PAYPAL-CERT-URL does not lead to a trusted root. Has it another "
            "issuer now, or is its issuer missing? See the option roots"
        ) from None


def _signer(content: bytes, roots: Sequence[x509.Certificate], now: datetime) -> keys.Signer:
    bundle = read(content)
    if len(bundle) > CERTIFICATES_MAX:
        raise _untrusted(f"more than {CERTIFICATES_MAX} certificates at PAYPAL-CERT-URL")
    leaf = next((one for one in bundle if _is_paypals(one)), None)
    if leaf is None:
        raise _untrusted("no certificate at PAYPAL-CERT-URL has PayPal's name")
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise _untrusted(
            f"PayPal's certificate is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to "
            f"{leaf.not_valid_after_utc:%Y-%m-%d}: check that this machine's clock is synchronised"
        )
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < keys.KEY_BITS_MIN:
        raise _untrusted(f"PayPal's key is not RSA of {keys.KEY_BITS_MIN} bits or more")
    chain = _verified(leaf, [one for one in bundle if one is not leaf], roots, now)
    return keys.Signer(
        key=key,
        not_before=max(one.not_valid_before_utc for one in chain),
        not_after=min(one.not_valid_after_utc for one in chain),
    )


def _is_paypals(certificate: x509.Certificate) -> bool:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return len(names) == 1 and str(names[0].value).lower().endswith(_NAME_ENDS)


def _verified(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> Sequence[x509.Certificate]:
    """Return the chain from the leaf to the root it ends in. Raises ``VerificationError``."""
    # Issuers follow the rules of the public web: permission, path length, algorithms.
    # The leaf does not: it signs messages and need not be valid for a web server.
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(now)
    policy = policy.extension_policies(
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
        ee_policy=verification.ExtensionPolicy.permit_all(),
    )
    return policy.build_client_verifier().verify(leaf, list(others)).chain


def _untrusted(hint: str) -> errors.Rejected:
    return errors.Rejected("bad_signature", hint)
