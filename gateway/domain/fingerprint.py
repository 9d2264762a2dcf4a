"""Digests by which repeats are recognised.

Every part is written with its length in front of it, so that two different orders never
run together into the same bytes.
"""

from hashlib import blake2b

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from gateway.domain.orders import Submission

# Free-form attributes are an object too: the order of their keys must not count either.
_ENCODER = msgspec.json.Encoder(order="deterministic")


#: Copied for each digest, which is faster than to make one.
_EMPTY = blake2b(digest_size=16)


def _digest(text: str) -> bytes:
    return _digest_of(text.encode())


def _digest_of(text: bytes) -> bytes:
    digest = _EMPTY.copy()
    digest.update(text)
    return digest.digest()


def _prefixed(part: str) -> str:
    return f"{len(part)}:{part}"


def _scope(channel: str, is_test: bool) -> str:
    """Return the channel, prefixed: test orders and live ones of a channel resemble no other."""
    return f"test|{_prefixed(channel)}" if is_test else _prefixed(channel)


def _goods(order: Submission) -> str:
    """Return channel, buyer and sorted (sku, quantity) as one unambiguous text."""
    lines = [f"{_prefixed(item.sku)}*{item.quantity};" for item in order.items]
    lines.sort()
    return _scope(order.channel, order.is_test) + _prefixed(order.buyer_id) + "".join(lines)


def similarity(order: Submission, phone: str) -> tuple[bytes, bytes]:
    """Return the digests (look-alike, same goods) of an order, 16 bytes each.

    "Same goods", by which velocity is counted, is over channel, buyer and sorted (sku, quantity);
    "look-alike" over payable and the recipient's phone as well. Two orders that look alike within
    ten minutes may be one double click.
    """
    digest = _EMPTY.copy()
    digest.update(_goods(order).encode())
    same_goods = digest.digest()
    # The look-alike's text begins with that of the goods. What payable is holds no bar, and the
    # phone comes last: the text stays unambiguous.
    digest.update(f"|{order.amounts.payable.normalize():f}|{phone}".encode())
    return digest.digest(), same_goods


def payload(order: Submission) -> bytes:
    """16 bytes over the whole decoded order: the order of keys and white space do not count.

    A tax of zero is none: an order without tax has the digest that it had before there was any.
    What was paid, and the state that the platform has it in, is not what was ordered.
    """
    if order.payment is not UNSET or order.platform_state is not UNSET:
        order = replace(order, payment=UNSET, platform_state=UNSET)
    if _names_tax(order):
        order = _without_zero_tax(order)
    return _digest_of(_ENCODER.encode(order))


def _names_tax(order: Submission) -> bool:
    amounts = order.amounts
    if amounts.tax is not UNSET or amounts.tax_included is not UNSET:
        return True
    # A loop: half the time of a generator, for every order.
    for item in order.items:  # noqa: SIM110
        if item.tax is not UNSET:
            return True
    return False


def _without_zero_tax(order: Submission) -> Submission:
    amounts = order.amounts
    if not amounts.tax:
        amounts = replace(amounts, tax=UNSET, tax_included=UNSET)
    elif not amounts.tax_included:
        amounts = replace(amounts, tax_included=UNSET)
    items = [item if item.tax else replace(item, tax=UNSET) for item in order.items]
    return replace(order, amounts=amounts, items=items)


def exact(payload_digest: bytes, request_id: str | None) -> bytes:
    """16 bytes that only the very same submission with the very same request id has.

    The payload holds channel and order number, so nothing else needs to go in.
    """
    if request_id is None:
        return payload_digest
    return _digest_of(payload_digest + request_id.encode())


def callback(source: str, source_key: str) -> bytes:
    """16 bytes that only the same message of the same account has."""
    return _digest(_prefixed(source) + source_key)


def order_number(order: Submission) -> bytes:
    """16 bytes that only this order number of this channel has, among test or live orders."""
    return _digest(f"order|{_scope(order.channel, order.is_test)}{order.order_no}")


def buyer(channel: str, buyer_id: str) -> bytes:
    """16 bytes that only this buyer of this channel has."""
    return _digest(f"buyer|{_prefixed(channel)}{buyer_id}")


def request(order: Submission, request_id: str) -> bytes:
    """16 bytes that only this request id within this channel has, among test or live orders."""
    return _digest(f"request|{_scope(order.channel, order.is_test)}{request_id}")
