"""Shopify: webhooks of one shop, which place orders and report their progress.

Protocol: https://shopify.dev/docs/apps/build/webhooks/subscribe/https and
https://shopify.dev/docs/api/admin-rest/latest/resources/order

- Signed is the raw body, HMAC-SHA256 with the app's client secret as text, base64.
- Topic, shop, webhook id and event id are in headers that are not signed. The shop header can only
  cause a rejection; the content determines the kind of a message; events are identified by order,
  payment or refund. So repeats, and several topics for one action, change nothing twice.
- A repeat holds the order as first sent: messages arrive out of order.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import errors, events
from gateway.providers import contract, shopify_disputes, shopify_orders, shopify_parcels
from gateway.providers.shared import body_hmac, fields, shop_orders

_SECRET_CHARACTERS_MIN = 16

_REPLIES: dict[contract.Answer, contract.Reply] = {
    "accepted": contract.Reply(200, b'{"received":true}', "application/json"),
    "later": contract.Reply(503, b'{"received":false}', "application/json"),
    "rejected": contract.Reply(401, b'{"received":false}', "application/json"),
}

#: Privacy requests that every app must handle, by a field that only that message has.
_DUTIES = {
    "orders_to_redact": ("customers.redact", "erase the customer's data within 30 days"),
    "data_request": ("customers.data_request", "send the merchant the customer's data"),
}
_SHOP_REDACT = frozenset({"shop_id", "shop_domain"})


class Options(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a Shopify account."""

    #: The shop, as in ``X-Shopify-Shop-Domain``. One secret signs for all shops of an app.
    shop: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\.myshopify\.com\Z")]
    #: Orders of the bogus gateway: ``noted`` records them, ``taken`` books them as tests.
    test_orders: Literal["noted", "taken"] = "noted"
    #: Park an order that is fulfilled without a tracking number, besides booking it as shipped.
    park_untracked: bool = False
    #: Country of an order that names none (goods without delivery), as in ISO 3166-1.
    country: Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z")] = "US"


class _Fulfilment(Struct):
    order_id: int
    name: str = ""
    updated_at: str | None = None


_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FULFILMENT = msgspec.json.Decoder(_Fulfilment)


def adapter(account: contract.Account) -> contract.Adapter:
    """Make the adapter of one shop. Raises ``ValueError`` if it cannot work."""
    keys = []
    for secret in fields.secrets(account):
        if not fields.is_plain(secret) or len(secret) < _SECRET_CHARACTERS_MIN:
            raise fields.misconfigured(
                account,
                "has a secret that is not the app's client secret (or, for webhooks made in the "
                "admin, the secret shown there)",
            )
        keys.append(secret.encode())
    channel = fields.only_channel(account)
    return Shopify(keys, fields.options(account, Options), channel)


PROVIDER = contract.Provider(
    "Shopify", adapter, _REPLIES, Options, body_bytes_max=contract.SHOP_BODY_BYTES_MAX
)


class Shopify:
    """One shop, whose orders go to one channel."""

    def __init__(self, keys: Sequence[bytes], options: Options, channel: str) -> None:
        self._keys = keys
        self._options = options
        self._channel = channel

    def read(self, message: contract.Message) -> contract.Reading:
        """Verify and decode one message. Raises ``Rejected``."""
        self._check_signature(message)
        if message.headers.get("X-Shopify-Shop-Domain") != self._options.shop:
            raise errors.Rejected("not_ours", "a message of another shop; see the option shop")
        return self._reading(message)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        """Decode a message that was verified when it arrived. Raises ``Rejected``."""
        return self._reading(contract.Message({}, kept.body, kept.received_at))

    def _reading(self, message: contract.Message) -> contract.Reading:
        digest = hashlib.blake2b(message.body, digest_size=12).hexdigest()
        try:
            names = fields.decoded(_NAMES, message.body)
            found = self._items(message, names, digest)
        except errors.Rejected as rejected:
            # A genuine message is not rejected for its content: it would be sent for hours, and
            # then no more.
            parked = events.Unmapped("unreadable", "", rejected.hint, message.now)
            found = [contract.Item(f"unreadable:{digest}", parked)]
        return contract.Reading(found)

    def reply(self, answer: contract.Answer) -> contract.Reply:
        """Return JSON; Shopify checks the status and requires 401 for an invalid signature."""
        return _REPLIES[answer]

    def _items(
        self, message: contract.Message, names: Collection[str], digest: str
    ) -> list[contract.Item]:
        kinds = set(names)
        if "financial_status" in kinds and not kinds.isdisjoint({"line_items", "total_price"}):
            return shopify_orders.items(
                message.body,
                digest=digest,
                now=message.now,
                channel=self._channel,
                country=self._options.country,
                park_untracked=self._options.park_untracked,
                take_tests=self._options.test_orders == "taken",
            )
        if {"order_id", "transactions"} <= kinds:
            # refunds/create names neither the order's currency nor whether it is a test; the
            # order message that is sent with it does.
            return [contract.Item(f"refund:{digest}", events.Noted("refund", message.now))]
        if kinds >= shopify_disputes.NAMES:
            return [shopify_disputes.item(message.body, digest=digest, now=message.now)]
        if kinds >= shopify_parcels.NAMES:
            return _parcels(message, digest)
        return [_no_order(kinds, digest, message)]

    def _check_signature(self, message: contract.Message) -> None:
        signature = message.headers.get("X-Shopify-Hmac-Sha256")
        if not signature:
            raise errors.Rejected("missing_signature", "no X-Shopify-Hmac-Sha256 header")
        if not body_hmac.is_signed(message.body, signature, self._keys):
            raise errors.Rejected(
                "bad_signature",
                "signed with another secret (webhooks made in the admin have their own; an app's "
                "old one stays in use for up to an hour), or the body was parsed and written again",
            )


def _parcels(message: contract.Message, digest: str) -> list[contract.Item]:
    """Return the parcels of a fulfilment, whose name is that of its order, and a number."""
    head = fields.decoded_as_possible(_FULFILMENT, message.body, needed=("order_id", "name"))
    id_ = shop_orders.id_text(head.order_id, giver="Shopify")
    told = shop_orders.OrderMessage(
        kind="fulfillment",
        order_no=fields.merchant_order_no(head.name.rpartition(".")[0]),
        key=f"order:{id_}",
        digest=digest,
        now=message.now,
        changed=head.updated_at,
    )
    if not told.order_no:
        return [told.whole(told.unmapped(f"a parcel of order {id_}, whose number is not told"))]
    return shopify_parcels.of_fulfilment(told, message.body) or [
        contract.Item(f"other:{digest}", events.Noted("fulfillment", message.now))
    ]


def _no_order(names: set[str], digest: str, message: contract.Message) -> contract.Item:
    for name, (kind, duty) in _DUTIES.items():
        if name in names:
            event: events.Event = events.Unmapped(kind, "", f"Shopify asks: {duty}", message.now)
            break
    else:
        if names == _SHOP_REDACT:
            detail = "Shopify asks: erase the shop's data within 30 days"
            event = events.Unmapped("shop.redact", "", detail, message.now)
        elif names == {"id"}:
            detail = "an order was deleted at the shop; the message holds nothing but its id"
            event = events.Unmapped("orders.delete", "", detail, message.now)
        else:
            # A product, a customer or a fulfilment; order messages report fulfilments as well.
            event = events.Noted("no_order", message.now)
    return contract.Item(f"other:{digest}", event)
