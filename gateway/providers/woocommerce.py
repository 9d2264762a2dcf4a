"""WooCommerce: order webhooks of one shop, which place orders and report their progress.

Protocol: WC_Webhook in the woocommerce repository; https://woocommerce.github.io/woocommerce-rest-api-docs/

- Signed is the raw body, HMAC-SHA256, base64. Topic, source and delivery id are in headers that are
  not signed. A topic can only make a message count less: that of a subscription, which has the
  fields of an order and is none, is noted. So is one whose content shows it.
- Every message holds the complete current order and has no id of its own, so events are identified
  by order, payment or refund: a repeat, or the next message about the same order, changes nothing
  twice.
- When a webhook is created, the shop posts ``webhook_id=<n>`` unsigned and expects 200. This is
  the only message accepted without a signature, and it has no effect.
- WooCommerce does not repeat a message that was not accepted.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, woocommerce_orders
from gateway.providers.shared import body_hmac, fields

_PING = re.compile(rb"webhook_id=[0-9]{1,20}", re.ASCII)

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"received":true}', "application/json"),
    "later": contract.Reply(503, b'{"received":false}', "application/json"),
    "rejected": contract.Reply(400, b'{"received":false}', "application/json"),
}


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a WooCommerce account."""

    #: Country of an order that names none (goods without delivery), as in ISO 3166-1.
    country: Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z")] = "US"


class _Head(Struct):
    id: int
    number: str | int | None = None
    line_items: msgspec.Raw = msgspec.Raw()


#: What a topic may be about that is no order.
_NOT_ORDERS = frozenset({"subscription", "customer", "product", "coupon"})
#: Fields of a subscription that an order has not.
_OF_SUBSCRIPTION = frozenset({"billing_period", "billing_interval"})
#: Fields of a webhook that a shop's owner made for an action of WordPress.
_OF_ACTION = frozenset({"action", "arg"})

_HEAD = msgspec.json.Decoder(_Head)
_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one shop. Raises ``ValueError`` if it cannot work."""
    keys = []
    for secret in fields.secrets(account):
        if not secret.strip() or not secret.isprintable():
            raise fields.misconfigured(
                account, "has an empty secret: copy the field Secret of the webhook"
            )
        keys.append(secret.encode())
    channel = fields.only_channel(account)
    return WooCommerce(keys, fields.options(account, Options), channel)


#: The ping when a webhook is saved is a form.
PROVIDER = contract.Provider(
    "WooCommerce",
    adapter,
    _REPLIES,
    Options,
    body_types=(contract.JSON, contract.FORM),
    body_bytes_max=contract.SHOP_BODY_BYTES_MAX,
)


class WooCommerce:
    """The webhooks of one shop, whose orders go to one channel."""

    def __init__(self, keys: Sequence[bytes], options: Options, channel: str) -> None:
        self._keys = keys
        self._options = options
        self._channel = channel

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one message. Raises ``Rejected``."""
        signature = message.headers.get("X-WC-Webhook-Signature")
        if not signature:
            if _PING.fullmatch(message.body):
                return contract.Reading([])
            raise errors.Rejected(
                "missing_signature",
                "no X-WC-Webhook-Signature header: give the webhook a secret, or a proxy drops it",
            )
        if not body_hmac.is_signed(message.body, signature, self._keys):
            raise errors.Rejected(
                "bad_signature",
                "signed with another secret (each webhook has its own), or the body was parsed "
                "and written again on the way",
            )
        return self._reading(message)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        # Without the topic, its content alone says what it is about.
        return self._reading(contract.Message({}, kept.body, kept.received_at))

    def _reading(self, message: contract.Message) -> contract.Reading:
        if _PING.fullmatch(message.body):
            return contract.Reading([])
        digest = hashlib.blake2b(message.body, digest_size=12).hexdigest()
        try:
            names = fields.decoded_leniently(_NAMES, message.body).keys()
            found = self._items(message, names, digest)
        except errors.Rejected as rejected:
            # A genuine message is not rejected for its content: the shop would switch its webhook
            # off.
            parked = events.Unmapped("unreadable", "", rejected.hint, message.now)
            found = [contract.Item(f"unreadable:{digest}", parked)]
        return contract.Reading(found)

    def _items(
        self, message: contract.Message, names: Collection[str], digest: str
    ) -> list[contract.Item]:
        topic = fields.kind(message.headers.get("X-WC-Webhook-Topic", ""))
        if topic.partition(".")[0] in _NOT_ORDERS or set(names) >= _OF_SUBSCRIPTION:
            return [contract.Item(f"other:{digest}", events.Noted(topic, message.now))]
        if set(names) == _OF_ACTION:
            detail = "a webhook with the topic Action tells no order: choose Order updated"
            return [contract.Item("action", events.Unmapped("action", "", detail, message.now))]
        head = fields.decoded_leniently(_HEAD, message.body)
        if not 0 < head.id < 1 << 63:
            raise fields.malformed("the id is not a number that a shop assigns")
        if not head.line_items and head.number is None:
            return [_no_order(head.id, names, digest, message.now)]
        return woocommerce_orders.items(
            message.body,
            digest=digest,
            now=message.now,
            channel=self._channel,
            country=self._options.country,
        )

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; WooCommerce checks the status only."""
        return _REPLIES[answer]


def _no_order(id_: int, names: Collection[str], digest: str, now: datetime) -> contract.Item:
    if set(names) != {"id"}:
        # A customer, a product or a coupon: genuine, but not about an order.
        return contract.Item(f"other:{digest}", events.Noted("no_order", now))
    detail = f"order {id_} was deleted at the shop; the message holds nothing but its id"
    return contract.Item(f"order:{id_}:deleted", events.Unmapped("order.deleted", "", detail, now))
