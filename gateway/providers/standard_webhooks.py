"""Any sender that implements Standard Webhooks 1.0.0.

Protocol: https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md

- Headers ``webhook-id``, ``webhook-timestamp`` (unix s of this attempt), ``webhook-signature``
  (entries ``<version>,<base64>`` separated by blanks); Svix sends the same three as ``svix-*``.
- Signed is id + ``.`` + timestamp + ``.`` + raw body, so the id must not contain a ``.``.
- ``v1``: HMAC-SHA256, key ``whsec_`` + base64 of 24 to 64 bytes. The key is the decoded bytes.
- ``v1a``: Ed25519, public key ``whpk_`` + base64 of 32 bytes.
- The configured key determines the version, never the request. Both kinds may be active at once,
  so that a sender can move from one to the other.
- The id stays the same over all retries of a message.

The specification leaves ``data`` to the sender; ``standard_webhooks_types`` reads what is booked.
"""

import base64
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, standard_webhooks_types
from gateway.providers.shared import fields

_SECRET, _PUBLIC_KEY, _PRIVATE_KEY = "whsec_", "whpk_", "whsk_"
_SECRET_BYTES = range(24, 65)
_PUBLIC_KEY_BYTES = 32

_URL_SAFE = frozenset("-_")

# Two during a key rotation. The bound limits the CPU time that an unauthenticated request can
# spend on Ed25519.
_ENTRIES_MAX = 8

_FAMILIES = (
    ("webhook-id", "webhook-timestamp", "webhook-signature"),
    ("svix-id", "svix-timestamp", "svix-signature"),
)

# 410 would disable the endpoint at the sender and is never sent.
_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"received":true}', "application/json"),
    "later": contract.Reply(503, b'{"received":false}', "application/json"),
    "rejected": contract.Reply(400, b'{"received":false}', "application/json"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of an account of a Standard Webhooks sender."""

    #: Maximum age of a signature, and how far ahead of our clock it may be.
    tolerance_s: Annotated[int, Meta(ge=1, le=3600)] = 300
    #: The target of the hand-off whose acceptances it reports; empty: the account's name is its.
    target: Annotated[str, Meta(pattern=r"^([a-z0-9_-]{1,32})?$(?!\n)")] = ""


_ENVELOPE = msgspec.json.Decoder(standard_webhooks_types.Envelope)

#: Takes a base64 signature and the text; returns whether this key signed it.
_Verify = Callable[[str, bytes], bool]


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one sender. Raises ``ValueError`` if a key is not well formed."""
    keys = [_key(account, secret) for secret in fields.secrets(account)]
    options = fields.options(account, Options)
    return StandardWebhooks(keys, options, target=options.target or account.name)


PROVIDER = contract.Provider("Standard Webhooks", adapter, _REPLIES, Options)


class StandardWebhooks:
    """One sender with its active keys, each with the signature version it verifies."""

    def __init__(
        self, keys: Sequence[tuple[str, _Verify]], options: Options, *, target: str
    ) -> None:
        self._keys = keys
        self._options = options
        self._target = target

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one message. Raises ``Rejected``."""
        key, stamp, signature = _headers(message)
        signed = fields.signed_at(stamp)
        self._check_signature(b"%b.%b.%b" % (key.encode(), stamp.encode(), message.body), signature)
        fields.check_fresh(signed, now=message.now, tolerance_s=self._options.tolerance_s)
        return self._reading(key, message.body, fields.from_unix(signed))

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        # The id is in a header alone; the item that it was decoded to has it as its key.
        return self._reading(kept.key, kept.body, kept.received_at)

    def _reading(self, key: str, body: bytes, sent_at: datetime) -> contract.Reading:
        """Decode a verified message, sent at ``sent_at``. Raises ``Rejected``."""
        envelope = fields.decoded(_ENVELOPE, body)
        kind = fields.kind(envelope.type)
        at = fields.moment_or(envelope.timestamp, sent_at)
        event = fields.event_or_unmapped(
            lambda: standard_webhooks_types.event(kind, envelope, at), kind=kind, at=at
        )
        if isinstance(event, events.Unmapped):
            # Found from its order, where its data is of no documented shape.
            order_no = standard_webhooks_types.order_no(envelope)
            event = msgspec.structs.replace(event, order_no=order_no)
        if isinstance(event, events.Accepted):
            event = msgspec.structs.replace(event, target=self._target)
        return contract.Reading([contract.Item(key, event)])

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; senders check the status only."""
        return _REPLIES[answer]

    def _check_signature(self, text: bytes, header: str) -> None:
        entries = header.split(" ")
        if len(entries) > _ENTRIES_MAX:
            raise errors.Rejected("bad_signature", f"more than {_ENTRIES_MAX} signatures")
        for version, verify in self._keys:
            for entry in entries:
                entry_version, _, signature = entry.partition(",")
                if entry_version == version and verify(signature, text):
                    return
        expected = " or ".join(sorted({version for version, _ in self._keys}))
        raise errors.Rejected(
            "bad_signature",
            f"no {expected} signature of an active key: another key, or the body was parsed and "
            "written again on the way",
        )


def _key(account: contract.Account, secret: str) -> tuple[str, _Verify]:
    if secret.startswith(_SECRET):
        key = _bare(account, secret, _SECRET)
        if len(key) not in _SECRET_BYTES:
            raise fields.misconfigured(
                account, f"has a secret of {len(key)} bytes, not of 24 to 64"
            )
        return "v1", lambda signature, text: _is_hmac(key, signature, text)
    if secret.startswith(_PUBLIC_KEY):
        bare = _bare(account, secret, _PUBLIC_KEY)
        if len(bare) != _PUBLIC_KEY_BYTES:
            raise fields.misconfigured(
                account,
                f"has a public key of {len(bare)} bytes, not of {_PUBLIC_KEY_BYTES}: Ed25519 is "
                "needed",
            )
        public_key = Ed25519PublicKey.from_public_bytes(bare)
        return "v1a", lambda signature, text: _is_ed25519(public_key, signature, text)
    if secret.startswith(_PRIVATE_KEY):
        raise fields.misconfigured(
            account, "has the sender's private key: configure the public one, whpk_..."
        )
    raise fields.misconfigured(
        account, f"has a secret that begins neither with {_SECRET} nor with {_PUBLIC_KEY}"
    )


def _bare(account: contract.Account, secret: str, prefix: str) -> bytes:
    text = secret.removeprefix(prefix)
    # Some senders display the key without padding.
    key = fields.base64_bytes(text + "=" * (-len(text) % 4))
    if not text:
        raise fields.misconfigured(account, f"has a key with nothing after {prefix}")
    if not key and not _URL_SAFE.isdisjoint(text):
        raise fields.misconfigured(
            account, "has a key in URL-safe base64: the standard alphabet has + and / for - and _"
        )
    if not key:
        raise fields.misconfigured(account, f"has a key that is not base64 after {prefix}")
    return key


def _is_hmac(key: bytes, signature: str, text: bytes) -> bool:
    expected = base64.b64encode(hmac.digest(key, text, "sha256"))
    return hmac.compare_digest(expected, signature.encode())


def _is_ed25519(key: Ed25519PublicKey, signature: str, text: bytes) -> bool:
    bare = fields.base64_bytes(signature)
    if bare is None:
        return False
    try:
        key.verify(bare, text)
    except InvalidSignature:
        return False
    return True


def _headers(message: contract.Message) -> tuple[str, str, str]:
    """Return id, timestamp and signatures, all of one family. Raises ``Rejected``."""
    # The family that is complete counts: a proxy or a log may add one header of the other.
    names = max(_FAMILIES, key=lambda family: sum(bool(message.headers.get(n)) for n in family))
    values = [message.headers.get(name, "") for name in names]
    for name, value in zip(names, values, strict=True):
        if not value:
            raise errors.Rejected("missing_signature", f"no {name} header")
        if not value.isascii():
            raise errors.Rejected("bad_signature", f"the {name} header is not ASCII")
    key, stamp, signature = values
    if "." in key:
        raise errors.Rejected(
            "bad_signature", "the id contains a '.', so the signed text is ambiguous"
        )
    return fields.token(key, "the id", fields.KEY_MAX), stamp, signature
