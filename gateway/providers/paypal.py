"""PayPal: webhooks of the REST API, verified locally and not by a request to PayPal.

Protocol: https://developer.paypal.com/api/rest/webhooks, "Integrate webhooks", and the source of
paypalrestsdk. ``paypal_events`` maps an event to an order.

- ``PAYPAL-TRANSMISSION-SIG`` is RSA PKCS#1 v1.5 with SHA-256 over
  ``<transmission id>|<transmission time>|<webhook id>|<CRC-32 of the raw body, decimal>``.
- The webhook id is the one that PayPal's console assigned to our address. It is not in the
  message, so it proves that a message is for us, and it is the "secret" of the account.
- The key is in a certificate at ``PAYPAL-CERT-URL``. The sender chooses that address, so it must
  be on an exact list of PayPal's hosts: otherwise anyone could sign with their own key.
- An adapter does no I/O: ``read`` raises ``DocumentMissing``, the caller fetches the document and
  passes it to ``learn``, which caches the key. Configured chains are not fetched.
- Events of the console's simulator are signed for the webhook id ``WEBHOOK_ID``, and any
  developer can have them sent to any address: they are rejected as ``probe``.
- A CRC-32 is not a cryptographic digest. A client that has seen one signed message with its
  headers can make another body that fits. The headers are as confidential as a password, and
  ``tolerance_s`` limits how long they can be used.

Trusted are DigiCert's roots, as in PayPal's own libraries, not the trust store of the machine:
an adapter reads no files, and one issuer is safer than a hundred and fifty.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Meta, Struct

from gateway.domain import errors
from gateway.providers import contract, paypal_certificates, paypal_events, paypal_roots
from gateway.providers.shared import fields, keys

_WEBHOOK_ID = re.compile(r"[A-Za-z0-9]{1,50}", re.ASCII)
#: The webhook id that PayPal's console signs simulated events for.
_SIMULATED = b"WEBHOOK_ID"

_HOSTS = {
    "live": frozenset({"api.paypal.com", "api-m.paypal.com"}),
    "sandbox": frozenset({"api.sandbox.paypal.com", "api-m.sandbox.paypal.com"}),
}
# No user, port, query or fragment, and no character that URL parsers interpret differently.
_URL = re.compile(r"https://([a-z.-]{1,64})/[A-Za-z0-9._~/-]{1,300}", re.ASCII)
_ID = re.compile(r"[!-{}~]{1,100}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)

#: PayPal signs with one certificate and the one that follows it.
_SIGNERS_MAX = 8

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"received":true}', "application/json"),
    # Any other status than 2xx makes PayPal send it again, up to 25 times over three days.
    "later": contract.Reply(503, b'{"received":false}', "application/json"),
    "rejected": contract.Reply(400, b'{"received":false}', "application/json"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a PayPal account."""

    #: Environment of the webhook; messages of the other one are rejected.
    environment: Literal["live", "sandbox"] = "live"
    #: The expected payee, for apps that act for several merchants. A payment that names no merchant
    #: is then parked.
    merchant_id: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z]{1,32}\Z")] | None = None
    #: The field of a capture that holds the shop's order number.
    order_no_field: Literal["invoice_id", "custom_id"] = "invoice_id"
    #: Maximum age of a transmission, and how far ahead of our clock it may be. PayPal publishes no
    #: window and does not document whether a retry carries a new time: the default covers the
    #: three days of retries and some hours.
    tolerance_s: Annotated[int, Meta(ge=60, le=2_592_000)] = 300_000
    #: Trusted certificates as PEM, in place of DigiCert's roots: a root, or the issuer itself if
    #: PayPal's document does not include it.
    roots: Annotated[str, Meta(max_length=65_536)] | None = None
    #: Chains as PEM by their URL, which are not fetched: for machines without internet access, and
    #: for tests.
    chains: Annotated[dict[str, str], Meta(max_length=_SIGNERS_MAX)] = {}


class _Transmission(Struct, frozen=True):
    """The headers, well formed but not yet verified."""

    id: str
    time: str
    signature: bytes
    cert_url: str


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one webhook. Raises ``ValueError`` if it cannot work."""
    webhook_ids = _webhook_ids(account)
    options = fields.options(account, Options)
    roots = _certificates(account, "roots", options.roots or paypal_roots.TRUSTED)
    for url, chain in options.chains.items():
        if not _is_allowed(url, options.environment):
            raise fields.misconfigured(
                account, f"has a chain for an address that is not of PayPal's {options.environment}"
            )
        _certificates(account, "chains", chain)
    return PayPal(webhook_ids, options, roots)


PROVIDER = contract.Provider("PayPal", adapter, _REPLIES, Options)


def _certificates(account: contract.Account, option: str, pem: str) -> Sequence[x509.Certificate]:
    try:
        found = paypal_certificates.read(pem.encode())
        fault = "".join(map(paypal_certificates.root_fault, found)) if option == "roots" else ""
    except keys.CERTIFICATE_FAULTS:
        raise fields.misconfigured(
            account, f"has an option {option} that is not one or more certificates as PEM"
        ) from None
    if fault:
        raise fields.misconfigured(account, f"has a certificate in {option} that is {fault}")
    return found


def _webhook_ids(account: contract.Account) -> Sequence[bytes]:
    found = []
    for secret in fields.secrets(account):
        if not _WEBHOOK_ID.fullmatch(secret):
            raise fields.misconfigured(
                account,
                "has a secret that is not a webhook id: copy the id that PayPal's console shows "
                "beside the webhook's address, not the client's secret",
            )
        found.append(secret.encode())
    return found


class PayPal:
    """One webhook of one app, live or sandbox."""

    def __init__(
        self, webhook_ids: Sequence[bytes], options: Options, roots: Sequence[x509.Certificate]
    ) -> None:
        self._webhook_ids = webhook_ids
        self._options = options
        self._roots = roots
        self._signers: dict[str, keys.Signer] = {}
        self._documents: dict[str, bytes] = {}

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one event. Raises ``Rejected`` or ``DocumentMissing``."""
        sent = _transmission(message.headers)
        self._check_url(sent.cert_url)
        self._check_signature(sent, message.body, self._key(sent.cert_url, message.now))
        signed = _signed_at(sent.time)
        fields.check_fresh(signed, now=message.now, tolerance_s=self._options.tolerance_s)
        return self._reading(message.body, fields.from_unix(signed))

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(kept.body, kept.received_at)

    def _reading(self, body: bytes, signed: datetime) -> contract.Reading:
        items = paypal_events.items(
            body,
            order_no_field=self._options.order_no_field,
            merchant_id=self._options.merchant_id,
            signed=signed,
        )
        return contract.Reading(items)

    @property
    def is_test(self) -> bool:
        """Whether the account is one of the test environment."""
        return self._options.environment == "sandbox"

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; PayPal checks the status only."""
        return _REPLIES[answer]

    def learn(self, url: str, content: bytes, *, now: datetime) -> None:
        """Verify a certificate chain and cache its key. Raises ``Rejected``."""
        self._check_url(url)
        signer = paypal_certificates.signer(content, roots=self._roots, now=now)
        self._forget(url)
        while len(self._signers) >= _SIGNERS_MAX:
            self._forget(next(iter(self._signers)))
        self._signers[url], self._documents[url] = signer, content

    def documents(self) -> Mapping[str, bytes]:
        """Return the cached certificate chains by URL."""
        return dict(self._documents)

    def _forget(self, url: str) -> None:
        self._signers.pop(url, None)
        self._documents.pop(url, None)

    def _key(self, url: str, now: datetime) -> rsa.RSAPublicKey:
        known = self._signers.get(url)
        if known is None or not known.is_valid(now):
            if url not in self._options.chains:
                raise contract.DocumentMissing(url)
            self.learn(url, self._options.chains[url].encode(), now=now)
            known = self._signers[url]
        return known.key

    def _check_url(self, url: str) -> None:
        if _is_allowed(url, self._options.environment):
            return
        other = "sandbox" if self._options.environment == "live" else "live"
        if _is_allowed(url, other):
            raise errors.Rejected("not_ours", f"of PayPal's {other}; see the option environment")
        raise errors.Rejected("bad_signature", "PAYPAL-CERT-URL is not on a host of PayPal's list")

    def _check_signature(self, sent: _Transmission, body: bytes, key: rsa.RSAPublicKey) -> None:
        head, checksum = f"{sent.id}|{sent.time}".encode(), zlib.crc32(body)
        for webhook_id in self._webhook_ids:
            if keys.is_signed(key, sent.signature, b"%b|%b|%d" % (head, webhook_id, checksum)):
                return
        if keys.is_signed(key, sent.signature, b"%b|%b|%d" % (head, _SIMULATED, checksum)):
            raise errors.Rejected(
                "probe", "a simulated event of the webhooks simulator in PayPal's console"
            )
        raise errors.Rejected(
            "bad_signature",
            "not signed for the configured webhook id (each address in PayPal's console has its "
            "own, and so have live and sandbox), or the body was parsed and written again",
        )


def _is_allowed(url: str, environment: str) -> bool:
    found = _URL.fullmatch(url)
    return found is not None and found[1] in _HOSTS[environment]


def _transmission(headers: Mapping[str, str]) -> _Transmission:
    """Return the five headers. Raises ``Rejected``."""
    sent = [
        headers.get(f"PAYPAL-{name}")
        for name in ("TRANSMISSION-ID", "TRANSMISSION-TIME", "TRANSMISSION-SIG", "CERT-URL")
    ]
    if not all(sent):
        raise errors.Rejected("missing_signature", "a PAYPAL- header of the signature is missing")
    # Text that is not ASCII, lone surrogates included, matches none of the patterns.
    id_, time, signature, cert_url = (text or "" for text in sent)
    # Pinned: a message cannot choose the algorithm.
    if headers.get("PAYPAL-AUTH-ALGO") != "SHA256withRSA":
        raise errors.Rejected("unsupported", "PAYPAL-AUTH-ALGO is not SHA256withRSA")
    decoded = fields.base64_bytes(signature) if signature.isascii() else None
    if decoded is None:
        raise errors.Rejected("bad_signature", "PAYPAL-TRANSMISSION-SIG is not base64")
    if not _ID.fullmatch(id_) or not _TIME.fullmatch(time):
        raise errors.Rejected("bad_signature", "the transmission has a malformed id or time")
    return _Transmission(id_, time, decoded, cert_url)


def _signed_at(text: str) -> int:
    try:
        return int(fields.moment(datetime.fromisoformat(text)).timestamp())
    except ValueError:
        raise fields.malformed("the transmission's time does not exist") from None
