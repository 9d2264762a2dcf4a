"""The certificate in a message of UnionPay: from PEM text to a trusted key.

It comes with the message, so by itself it proves nothing. It must be issued by the configured
authority (CFCA), and to UnionPay: CFCA certifies merchants too, and any of them could sign with a
certificate of the same chain. The chain has at most three levels: certificate, intermediate,
root. Revocation is not checked: that would need I/O.
"""

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID
from msgspec import Struct

from gateway.domain import errors
from gateway.providers import contract
from gateway.providers.shared import fields, key_faults, keys

#: One certificate of UnionPay takes 1.6 KB.
PEM_BYTES_MAX = 8192
#: UnionPay signs with one certificate and, during a change, its successor.
KNOWN_MAX = 8

_WHOSE = "CFCA's root and intermediate certificates, as UnionPay distributes them for verification"
_SHA1 = SignatureAlgorithmOID.RSA_WITH_SHA1
#: Verified with the primitives, as the library's own check of an issuer does not support SHA-1.
_DIGESTS: dict[x509.ObjectIdentifier, hashes.HashAlgorithm] = {
    _SHA1: hashes.SHA1(),  # noqa: S303 - see the option sha1_certificates
    SignatureAlgorithmOID.RSA_WITH_SHA256: hashes.SHA256(),
    SignatureAlgorithmOID.RSA_WITH_SHA384: hashes.SHA384(),
    SignatureAlgorithmOID.RSA_WITH_SHA512: hashes.SHA512(),
}
_UNDERSTOOD = frozenset(
    {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
)


class Issuer(Struct, frozen=True):
    """A configured certificate that may issue, and the period when it and its root are valid."""

    certificate: x509.Certificate
    not_before: datetime
    not_after: datetime


class Signers:
    """Verifies certificates once, caches trusted ones, and checks their dates each time."""

    def __init__(
        self, issuers: Sequence[Issuer], *, organisations: Iterable[str], may_be_sha1: bool
    ) -> None:
        self._issuers = issuers
        self._organisations = frozenset(organisations)
        self._may_be_sha1 = may_be_sha1
        self._known: OrderedDict[bytes, keys.Signer] = OrderedDict()

    def key(self, pem: bytes, *, now: datetime) -> rsa.RSAPublicKey:
        """Return UnionPay's key from the certificate. Raises ``Rejected``."""
        digest = hashlib.sha256(pem).digest()
        signer = self._known.get(digest)
        if signer is None or not signer.is_valid(now):
            signer = self._checked(pem, now)
            self._known[digest] = signer
        self._known.move_to_end(digest)
        # Only trusted certificates get here: an attacker cannot evict them.
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return signer.key

    def _checked(self, pem: bytes, now: datetime) -> keys.Signer:
        try:
            # The library warns about unusual names, even of a certificate that is not trusted.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._signer(pem, now)
        except keys.CERTIFICATE_FAULTS as exc:
            raise _untrusted(f"signPubKeyCert {key_faults.of_reading(exc)}") from None

    def _signer(self, pem: bytes, now: datetime) -> keys.Signer:
        if len(pem) > PEM_BYTES_MAX:
            raise _untrusted(f"signPubKeyCert is longer than {PEM_BYTES_MAX} bytes")
        certificate = _only(pem)
        key = certificate.public_key()
        if fault := key_faults.of_key(key):
            raise _untrusted(f"the key of signPubKeyCert is {fault}")
        assert isinstance(key, rsa.RSAPublicKey), "checked above"
        self._check_digest(certificate)
        if not _is_understood(certificate):
            raise _untrusted("signPubKeyCert has a critical extension that is not known here")
        if not _may_sign(certificate):
            raise _untrusted("signPubKeyCert is not a certificate for signing messages")
        self._check_subject(certificate)
        return self._valid(certificate, key, now)

    def _check_digest(self, certificate: x509.Certificate) -> None:
        algorithm = certificate.signature_algorithm_oid
        if algorithm not in _DIGESTS:
            raise _untrusted("signPubKeyCert was not issued with RSA and SHA-2")
        if algorithm == _SHA1 and not self._may_be_sha1:
            raise _untrusted(
                "signPubKeyCert was issued with SHA-1; see the option sha1_certificates"
            )

    def _check_subject(self, certificate: x509.Certificate) -> None:
        # 041@8310000000083040@<organisation>@00016494: as UnionPay's own clients split it.
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        parts = str(names[0].value).split("@") if len(names) == 1 else []
        if len(parts) < 3 or parts[2] not in self._organisations:
            raise _untrusted(
                "signPubKeyCert is not UnionPay's: its common name has another organisation; "
                "see the option organisations, and is this the test environment's message?"
            )

    def _valid(
        self, certificate: x509.Certificate, key: rsa.RSAPublicKey, now: datetime
    ) -> keys.Signer:
        found = [
            keys.Signer(
                key,
                max(certificate.not_valid_before_utc, issuer.not_before),
                min(certificate.not_valid_after_utc, issuer.not_after),
            )
            for issuer in self._issuers
            if _is_issued_by(certificate, issuer.certificate)
        ]
        if not found:
            if any(certificate.issuer == each.certificate.subject for each in self._issuers):
                raise _untrusted(
                    "signPubKeyCert names a configured issuer, but is not signed by its key: "
                    "is that the issuer's current certificate? Otherwise it is forged or damaged"
                )
            raise _untrusted(
                "signPubKeyCert was not issued by a configured certificate: are the root and the "
                "intermediate those of this environment (production or test), and current?"
            )
        signer = next((one for one in found if one.is_valid(now)), None)
        if signer is None:
            raise _untrusted(
                "signPubKeyCert or its issuer is not valid now, but from "
                f"{found[0].not_before:%Y-%m-%d} to {found[0].not_after:%Y-%m-%d}: configure the "
                "current issuers, or check this machine's clock"
            )
        return signer


def _only(pem: bytes) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except x509.InvalidVersion:
        raise
    except keys.CERTIFICATE_FAULTS:
        what = key_faults.of_text(pem)
        raise _untrusted(
            f"signPubKeyCert is not one certificate as PEM{f' but {what}' if what else ''}"
        ) from None
    if len(found) != 1:
        raise _untrusted(f"signPubKeyCert is not one certificate but {len(found)}")
    return found[0]


def issuers(account: contract.Account) -> list[Issuer]:
    """Return the configured issuers of UnionPay's certificate. Raises ``ValueError``.

    Each is a root, or issued by a root that is configured too.
    """
    found = [
        certificate
        for secret in fields.secrets(account)
        for certificate in keys.certificates(account, secret, whose=_WHOSE)
    ]
    for certificate in found:
        _check_readable(account, certificate)
    roots = [one for one in found if _is_root(one)]
    return [_issuer(account, one, roots) for one in found]


def _check_readable(account: contract.Account, certificate: x509.Certificate) -> None:
    # The library parses most parts of a certificate on first access.
    try:
        _ = certificate.subject, certificate.issuer, certificate.extensions
        _ = certificate.public_key(), certificate.signature_algorithm_oid
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except keys.CERTIFICATE_FAULTS as exc:
        raise fields.misconfigured(
            account, f"has a certificate that {key_faults.of_reading(exc)}: give {_WHOSE}"
        ) from None


def _issuer(
    account: contract.Account, certificate: x509.Certificate, roots: Sequence[x509.Certificate]
) -> Issuer:
    name = certificate.subject.rfc4514_string()
    if fault := _why_not_issuer(certificate):
        raise fields.misconfigured(account, f"has a certificate ({name}) {fault}: give {_WHOSE}")
    if certificate in roots:
        above = certificate
    else:
        issued_by = [
            root for root in roots if _may_have_below(root) and _is_issued_by(certificate, root)
        ]
        if not issued_by:
            raise fields.misconfigured(
                account, f"has a certificate without the root that issued it ({name}): give both"
            )
        # A root may have two certificates; the one that expires later counts.
        above = max(issued_by, key=lambda root: root.not_valid_after_utc)
    return Issuer(
        certificate,
        max(certificate.not_valid_before_utc, above.not_valid_before_utc),
        min(certificate.not_valid_after_utc, above.not_valid_after_utc),
    )


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject and _is_issued_by(certificate, certificate)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    digest, key = _DIGESTS.get(certificate.signature_algorithm_oid), issuer.public_key()
    if certificate.issuer != issuer.subject or digest is None:
        return False
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(
            certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), digest
        )
    except InvalidSignature:
        return False
    return True


def _why_not_issuer(certificate: x509.Certificate) -> str:
    """Return why it may not issue certificates, to follow "a certificate"; empty: it may."""
    if fault := key_faults.of_key(certificate.public_key()):
        return f"whose key is {fault}"
    if fault := key_faults.of_version(certificate):
        return f"that is {fault}"
    if not _is_understood(certificate):
        return "with a critical extension that is not known here"
    constraints, usage = _constraints(certificate), _usage(certificate)
    may_certify = usage is None or usage.key_cert_sign
    if constraints is None or not constraints.ca or not may_certify:
        return "that may not issue others"
    return ""


def _may_sign(certificate: x509.Certificate) -> bool:
    usage = _usage(certificate)
    return usage is None or usage.digital_signature or usage.content_commitment


def _may_have_below(root: x509.Certificate) -> bool:
    constraints = _constraints(root)
    return constraints is not None and constraints.path_length != 0


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _is_understood(certificate: x509.Certificate) -> bool:
    # A critical extension that is not checked here might restrict the certificate to another use.
    return all(one.oid in _UNDERSTOOD for one in certificate.extensions if one.critical)


def _untrusted(hint: str) -> errors.Rejected:
    return errors.Rejected("bad_signature", hint)
