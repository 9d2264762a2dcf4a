"""Digests by which repeats are recognised.

Every part is written with its length in front of it, so that two different orders never
run together into the same bytes.
"""

from hashlib import blake2b

import msgspec

from gateway.domain.orders import Submission

_ENCODER = msgspec.json.Encoder()


def _digest(parts: list[str], size: int = 16) -> bytes:
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return blake2b(text.encode(), digest_size=size).digest()


def lookalike(order: Submission, phone: str) -> bytes:
    """16 bytes over channel, buyer, sorted (sku, quantity), payable and recipient's phone.

    Two orders with the same digest within ten minutes look like one double click.
    """
    parts = [order.channel, order.buyer_id, f"{order.amounts.payable.normalize():f}", phone]
    for sku, quantity in sorted([(item.sku, item.quantity) for item in order.items]):
        parts += (sku, str(quantity))
    return _digest(parts)


def same_goods(order: Submission) -> bytes:
    """16 bytes over channel, buyer and sorted (sku, quantity): what velocity is counted by."""
    parts = [order.channel, order.buyer_id]
    for sku, quantity in sorted([(item.sku, item.quantity) for item in order.items]):
        parts += (sku, str(quantity))
    return _digest(parts)


def payload(order: Submission) -> bytes:
    """16 bytes over the whole decoded order: the order of keys and white space do not count."""
    return blake2b(_ENCODER.encode(order), digest_size=16).digest()


def exact(payload_digest: bytes, request_id: str | None) -> bytes:
    """16 bytes that only the very same submission with the very same request id has.

    The payload holds channel and order number, so nothing else needs to go in.
    """
    return _digest([payload_digest.hex(), request_id or "", "" if request_id is None else "1"])


def callback(source: str, source_key: str) -> bytes:
    """16 bytes that only the same message of the same account has."""
    return _digest([source, source_key])
