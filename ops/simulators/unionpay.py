"""Simulated UnionPay (online gateway 5.1.0): back-end notices of payments and refunds.

Written from the notices that UnionPay shows in its own demonstration programs. A repeat is the
same in every byte. ``Account.private`` holds ``key``, the private key that UnionPay signs with,
and ``certificate``, which is sent with every notice; both as PEM.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade
from ops.simulators.shared import parts, rsa_keys, sorted_forms

KINDS: frozenset[Kind] = parts.PAYMENTS | parts.REFUNDS
#: No send time is signed, so no notice can be stale.
FORGERIES: frozenset[Forgery] = frozenset({"foreign_key", "changed", "unsigned", "not_ours"})
CURRENCIES = ("CNY",)

#: The organisation in the common name of UnionPay's certificates.
ORGANISATION = "中国银联股份有限公司"
# Simulated certificates are made without a clock, so they are valid at any time.
_VALID = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))


def create() -> Account:
    """Make an account with its own authority, which issued UnionPay's certificate."""
    authority, key = Authority(), rsa_keys.make()
    return Account(
        secrets=(authority.pem,),
        options={"mer_id": f"7772900{secrets.randbelow(10**8):08}"},
        private={
            "key": rsa_keys.private_pem(key),
            "certificate": authority.certified(key, organisation=ORGANISATION),
        },
    )


def simulator(account: Account) -> Simulator:
    """Return the simulated UnionPay. Raises ``ValueError`` without its private key."""
    return UnionPay(account)


def transaction_no(trade: Trade) -> str:
    """Return the number of the payment that the gateway books for this trade."""
    return _query_id("paid", trade)


class Authority:
    """Like CFCA: a root, and an intermediate that certifies UnionPay and its merchants."""

    def __init__(self) -> None:
        root_key, self._key = rsa_keys.make(), rsa_keys.make()
        root, self._name = _name("SIM CS CA", "SIM CFCA"), _name("SIM OCA1", "SIM CFCA")
        root_pem = _certificate(root, root, root_key, root_key, is_authority=True)
        #: The intermediate and its root as PEM, as the gateway accepts them.
        self.pem = _certificate(self._name, root, self._key, root_key, is_authority=True) + root_pem

    def certified(
        self,
        key: rsa.RSAPrivateKey,
        *,
        organisation: str,
        valid: tuple[datetime, datetime] = _VALID,
    ) -> str:
        """Return a certificate of an organisation's key, as PEM."""
        name = _name(f"041@8310000000083040@{organisation}@00016494", "SIM OCA1")
        return _certificate(name, self._name, key, self._key, is_authority=False, valid=valid)


class UnionPay:
    """The simulated UnionPay."""

    def __init__(self, account: Account) -> None:
        self._key = sorted_forms.private_key(account.private, "key", whose="UnionPay")
        self._certificate = account.private.get("certificate", "")
        if not self._certificate:
            raise ValueError("no certificate that belongs to the private key")
        self._options = account.options
        self._mer_id = str(account.options["mer_id"])

    def message(self, kind: Kind, trade: Trade, *, at: datetime, attempt: int = 0) -> Posted:
        """Make a notice. A repeat is the same in every byte."""
        notice = self._notice(kind, trade, at)
        return sorted_forms.posted(_signed(notice, self._key, self._certificate))

    def forged(self, how: Forgery, kind: Kind, trade: Trade, *, at: datetime) -> Posted:
        """Make a notice that must be rejected."""
        notice = self._notice(kind, trade, at)
        key, certificate = self._key, self._certificate
        if how == "not_ours":
            notice["merId"] = sorted_forms.another(self._mer_id)
        if how == "foreign_key":
            # All is valid, except that the forger's own authority issued it.
            key = rsa_keys.make()
            certificate = Authority().certified(key, organisation=ORGANISATION)
        signed = _signed(notice, key, certificate)
        if how == "changed":
            # A genuine notice with another order number.
            signed["orderId"] += "X"
        if how == "unsigned":
            signed = notice
        return sorted_forms.posted(signed)

    def is_acknowledged(self, status: int, content_type: str, body: bytes) -> bool:
        """Check the status only."""
        return status in (200, 302)

    def _notice(self, kind: Kind, trade: Trade, at: datetime) -> dict[str, str]:
        if kind not in KINDS:
            raise ValueError(f"UnionPay sends no message {kind}")
        if trade.currency != "CNY":
            raise ValueError("amounts are in CNY")
        sorted_forms.check_cents(trade)
        now = at.astimezone(sorted_forms.GMT8)
        number, passed = parts.numbers(kind, trade, self._options, usual="orderId")
        transaction = {
            "orderId": number,
            "queryId": _query_id(kind, trade),
            "txnType": "01",
            "txnSubType": "01",
            "accNo": "6216***********0018",
            "payCardType": "01",
            "bizType": "000201",
        }
        if kind in parts.REFUNDS:
            # The partial refund fails: one transaction, told a second time.
            name: Kind = "refund" if kind == "refund" else "partial_refund"
            transaction = {
                "orderId": f"{name[0].upper()}{trade.serial}",
                "origQryId": _query_id("paid", trade),
                "queryId": _query_id(name, trade),
                "txnType": "04",
                "txnSubType": "00",
                "bizType": "000000",
            }
        amount = f"{parts.amount(kind, trade).scaleb(2):.0f}"
        is_failed = kind == "refund_failed"
        return {
            "accessType": "0",
            "currencyCode": "156",
            "encoding": "UTF-8",
            "merId": self._mer_id,
            "reqReserved": passed or "cGF5Lz1hJmI9Yw==",
            "respCode": "34" if is_failed else "00",
            "respMsg": "失败[1000034]" if is_failed else "成功[0000000]",
            "settleAmt": amount,
            "settleCurrencyCode": "156",
            "settleDate": f"{now:%m%d}",
            "signMethod": "01",
            "traceNo": sorted_forms.digits(f"trace/{kind}/{trade.serial}", 6),
            "traceTime": f"{now:%m%d%H%M%S}",
            "txnAmt": amount,
            "txnTime": f"{now:%Y%m%d%H%M%S}",
            "version": "5.1.0",
            **transaction,
        }


def _signed(notice: Mapping[str, str], key: rsa.RSAPrivateKey, pem: str) -> dict[str, str]:
    # The certificate is sent, and signed, with CRLF line ends.
    lines = pem.strip().splitlines()
    fields = {**notice, "signPubKeyCert": "\r\n".join(lines)}
    digest = hashlib.sha256(sorted_forms.text(fields)).hexdigest().encode()
    return {**fields, "signature": sorted_forms.signature(key, digest)}


def _query_id(kind: Kind, trade: Trade) -> str:
    return sorted_forms.digits(f"query/{kind}/{trade.serial}", 21)


def _name(common_name: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    issuers_key: rsa.RSAPrivateKey,
    *,
    is_authority: bool,
    valid: tuple[datetime, datetime] = _VALID,
) -> str:
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial, *valid)
    if is_authority:
        # May issue one level below: the root issues the intermediate, which issues the rest.
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), True)
    else:
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
    builder = builder.add_extension(_usage(is_authority=is_authority), is_authority)
    return (
        builder.sign(issuers_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=not is_authority,
        key_encipherment=not is_authority,
        data_encipherment=not is_authority,
        key_agreement=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
