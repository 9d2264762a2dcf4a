"""PayPal's signing certificate: from the document at its URL to a trusted key.

The document comes from one of PayPal's own hosts over TLS. It is verified nevertheless: PayPal
requires it, and a URL of those hosts might serve content that others wrote.
"""

import warnings
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from gateway.domain import errors
from gateway.providers.shared import key_faults, keys

#: A leaf, its issuers and a reserve; bounded because each costs time.
CERTIFICATES_MAX = 8
_NAME_ENDS = ".paypal.com"
_SHA2 = frozenset({"sha256", "sha384", "sha512"})


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
            return _signer(_bundle(content), roots, now)
    except keys.CERTIFICATE_FAULTS as exc:
        raise _untrusted(f"a certificate at PAYPAL-CERT-URL {key_faults.of_reading(exc)}") from None


def root_fault(root: x509.Certificate) -> str:
    """Return why a configured certificate can never be trusted, to follow "is"; empty: it can.

    Raises one of ``keys.CERTIFICATE_FAULTS``.
    """
    fault = key_faults.of_version(root)
    if not fault and not _may_issue(root):
        return "one that may not issue others"
    return fault


def _bundle(content: bytes) -> Sequence[x509.Certificate]:
    try:
        return read(content)
    except keys.CERTIFICATE_FAULTS as exc:
        if isinstance(exc, x509.InvalidVersion):
            raise
        raise _untrusted("the text at PAYPAL-CERT-URL is not a certificate as PEM") from None


def _signer(
    bundle: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> keys.Signer:
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
    if fault := key_faults.of_key(key):
        raise _untrusted(f"the key of PayPal's certificate is {fault}")
    assert isinstance(key, rsa.RSAPublicKey), "checked above"
    others = [one for one in bundle if one is not leaf]
    try:
        chain = _verified(leaf, others, roots, now)
    except verification.VerificationError as exc:
        raise _untrusted(_cause(leaf, others, roots, now, exc)) from None
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


def _cause(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
    error: verification.VerificationError,
) -> str:
    """Return what really is wrong with a chain that the library did not accept."""
    one, which = leaf, "PayPal's certificate"
    for _ in range(CERTIFICATES_MAX + 1):
        if fault := key_faults.of_version(one):
            return f"{which} is {fault}"
        if one in roots:
            break
        if one.signature_hash_algorithm is None or one.signature_hash_algorithm.name not in _SHA2:
            return f"{which} is not signed with SHA-2 of 256 bits or more"
        if one.issuer == one.subject:
            return f"{which} is its own issuer, and not a trusted root: see the option roots"
        named = [each for each in (*roots, *others) if each.subject == one.issuer]
        if not named:
            return (
                f"{which} does not lead to a trusted root: its issuer is neither at "
                "PAYPAL-CERT-URL nor in the option roots. Has PayPal another issuer now?"
            )
        issuer = next((each for each in named if _signed(one, each)), None)
        if issuer is None:
            return f"{which} is not signed by the issuer that it names: it is forged or damaged"
        which = "its issuer" if one is leaf else "an issuer above it"
        if not _may_issue(issuer) and issuer.version is x509.Version.v3:
            return f"{which} may not issue certificates"
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            return (
                f"{which} is valid from {issuer.not_valid_before_utc:%Y-%m-%d} to "
                f"{issuer.not_valid_after_utc:%Y-%m-%d}: see the option roots, and check that "
                "this machine's clock is synchronised"
            )
        one = issuer
    # A rule of the public web that is not told apart here: the library's own words.
    words = str(error).partition(" (encountered")[0].encode("ascii", "replace").decode()
    return f"PayPal's certificate does not lead to a trusted root ({words[:200]})"


def _signed(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (InvalidSignature, *keys.CERTIFICATE_FAULTS):
        return False
    return True


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _untrusted(hint: str) -> errors.Rejected:
    return errors.Rejected("bad_signature", hint)
