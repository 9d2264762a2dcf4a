"""PayPal's signing certificate: from the text at its address to a key that may be believed.

The text comes from one of PayPal's own hosts over TLS. It is checked all the same: PayPal asks
for it, and an address of those hosts that hands out what somebody else wrote proves nothing.
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

#: A leaf, its issuers and some to spare: each costs time to try.
CERTIFICATES_MAX = 8
_NAME_ENDS = ".paypal.com"


def read(pem: bytes) -> Sequence[x509.Certificate]:
    """Read one or more certificates. Raises one of ``keys.CERTIFICATE_FAULTS``."""
    return x509.load_pem_x509_certificates(pem)


def signer(content: bytes, *, roots: Sequence[x509.Certificate], now: datetime) -> keys.Signer:
    """Check a PEM bundle: PayPal's own name, valid now, and link by link up to a trusted root.

    Raises ``Rejected``.
    """
    try:
        # The library warns of odd fields; a certificate that proves nothing is no news to anybody.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _signer(content, roots, now)
    except keys.CERTIFICATE_FAULTS:
        raise _untrusted("the text at PAYPAL-CERT-URL is not a certificate as PEM") from None
    except verification.VerificationError:
        raise _untrusted(
            "the certificate at PAYPAL-CERT-URL does not lead to a trusted root. Is it of another "
            "issuer now, or does it come without its issuer? See the option roots"
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
    # The rules of the public web for those who issue: may they, how deep, with which algorithms.
    # None for the leaf: it signs messages, whether it is fit for a web server too is no matter.
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(now)
    policy = policy.extension_policies(
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
        ee_policy=verification.ExtensionPolicy.permit_all(),
    )
    return policy.build_client_verifier().verify(leaf, list(others)).chain


def _untrusted(hint: str) -> errors.Rejected:
    return errors.Rejected("bad_signature", hint)
