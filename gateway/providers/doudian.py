"""Doudian (Douyin shop): message push.

Protocol: https://op.jinritemai.com, "message push", and the source of doudian (PyPI).

- ``event-sign`` is the lower-case hex MD5 of app_key + raw body + app_secret; ``app-id`` is
  our app. The algorithm is fixed: a request cannot choose another.
- The body is a list. Each item has a ``tag``, a ``msg_id`` that stays the same on a repeat, and
  ``data`` as JSON text or as an object. Every item is read; the push is acknowledged as a whole.
- When the address is saved, the platform sends tag ``0``: a greeting, acknowledged as usual.
- Amounts are in fen, times in unix seconds.

Buyer and address are encrypted and the lines of an order are not included, so no push can place
an order. It can only prove: paid, to be paid on delivery, shipped, completed, cancelled, refunded.
The order itself comes from another source; events that arrive earlier wait for it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, doudian_events
from gateway.providers.shared import fields, md5

_ITEMS_MAX = 1000
_GREETING = "0"

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"code":0,"msg":"success"}', "application/json"),
    "later": contract.Reply(503, b'{"code":1,"msg":"fail"}', "application/json"),
    "rejected": contract.Reply(400, b'{"code":1,"msg":"fail"}', "application/json"),
}

_Number = Annotated[str, Meta(pattern=r"\A[0-9]{1,20}\Z")]
_Tag = Annotated[str, Meta(pattern=r"\A[0-9]{1,8}\Z")]


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a Doudian account."""

    #: Our app, as in the header ``app-id``. It is also the first part of the signed text.
    app_key: Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
    #: The shops whose messages are accepted.
    shop_ids: Annotated[tuple[_Number, ...], Meta(min_length=1)]
    #: Overrides of the meaning of tags; ``noted`` disables one.
    tags: dict[_Tag, doudian_events.Meaning] = {}


_BODY = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM = msgspec.json.Decoder(doudian_events.Item)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one app. Raises ``ValueError`` if it cannot work."""
    secrets = md5.secrets(account, whose="the app's app_secret", length_min=16)
    return Doudian(secrets, fields.options(account, Options))


PROVIDER = contract.Provider(
    "Doudian", adapter, _REPLIES, Options, body_bytes_max=contract.SHOP_BODY_BYTES_MAX
)


class Doudian:
    """One app, for the configured shops."""

    def __init__(self, secrets: Sequence[bytes], options: Options) -> None:
        self._secrets = secrets
        self._app_key = options.app_key
        self._shop_ids = frozenset(options.shop_ids)
        self._meanings = {**doudian_events.MEANINGS, **options.tags}

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one push, all items of it. Raises ``Rejected``."""
        self._check_signature(message)
        return self._reading(message.body, message.now)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(kept.body, kept.received_at)

    def _reading(self, body: bytes, now: datetime) -> contract.Reading:
        listed = fields.decoded_leniently(_BODY, body)
        if len(listed) > _ITEMS_MAX:
            raise fields.malformed(f"more than {_ITEMS_MAX} messages in one push")
        items, odd = _read(listed, now)
        messages = [item for item in items if doudian_events.id_text(item.tag) != _GREETING]
        pushed = [doudian_events.PushedMessage(item, now) for item in _once(messages)]
        # One address serves all the shops of an app. A push about other shops alone is rejected;
        # a mixed one is accepted, so that a shop without an entry does not hold up ours.
        if pushed and all(one.shop_id and one.shop_id not in self._shop_ids for one in pushed):
            raise errors.Rejected("not_ours", "another shop; enter it in shop_ids if it is yours")
        found = [contract.Item(one.key, self._event(one)) for one in pushed]
        return contract.Reading([*found, *odd])

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; only code 0 is an acknowledgement."""
        return _REPLIES[answer]

    def _check_signature(self, message: contract.Message) -> None:
        signature = message.headers.get("event-sign")
        if not signature:
            raise errors.Rejected("missing_signature", "no event-sign header")
        if message.headers.get("app-id") != self._app_key:
            raise errors.Rejected("not_ours", "the app-id header is not our app_key")
        if not md5.is_signed((self._app_key.encode(), message.body), signature, self._secrets):
            raise errors.Rejected(
                "bad_signature",
                "not signed with this app's app_secret, or the body was parsed and written "
                "again on the way",
            )

    def _event(self, pushed: doudian_events.PushedMessage) -> events.Event:
        if not pushed.shop_id:
            return pushed.unmapped("names no shop, so its owner is unknown")
        if pushed.shop_id not in self._shop_ids:
            return pushed.unmapped("of a shop that is not in shop_ids")
        reader = doudian_events.READERS.get(self._meanings.get(pushed.tag, "noted"))
        if reader is None:
            return events.Noted(pushed.kind, pushed.now)
        try:
            return reader(pushed)
        except errors.Rejected as rejected:
            return pushed.unmapped(rejected.hint)


def _read(
    listed: Sequence[msgspec.Raw], now: datetime
) -> tuple[list[doudian_events.Item], list[contract.Item]]:
    """Return the items, and those parked that are none; they stop none of the others.

    Raises ``Rejected`` where there is no other.
    """
    items: list[doudian_events.Item] = []
    odd: list[contract.Item] = []
    rejection: errors.Rejected | None = None
    for raw in listed:
        try:
            item = fields.decoded_leniently(_ITEM, raw)
            if doudian_events.id_text(item.tag) != _GREETING:
                doudian_events.check_ids(item)
            items.append(item)
        except errors.Rejected as rejected:
            rejection = rejected
            digest = hashlib.blake2b(bytes(raw), digest_size=12).hexdigest()
            parked = events.Unmapped("unreadable", "", rejected.hint, now)
            odd.append(contract.Item(f"unreadable:{digest}", parked))
    if rejection is not None and not items:
        raise rejection
    return items, list({item.key: item for item in odd}.values())


def _once(items: list[doudian_events.Item]) -> list[doudian_events.Item]:
    """Drop what stands there twice. Raises ``Rejected`` if one number tells two things."""
    if len(items) < 2:
        return items
    found: dict[str, doudian_events.Item] = {}
    for item in items:
        known = found.setdefault(doudian_events.id_text(item.msg_id), item)
        if (known.tag, bytes(known.data)) != (item.tag, bytes(item.data)):
            raise fields.malformed("two messages of one push have the same msg_id")
    return list(found.values())
