"""The format of orders in the journal: the stock check is stored, and may be missing."""

from typing import Any

import msgspec
import pytest

from gateway.domain import orders
from gateway.domain.messages import MessagePart
from gateway.domain.placing import Stock
from gateway.intake.journal_codec import JournalCodec
from tests.domain.support import due, follow_up, paid, placement
from tests.intake.support import Way


class Clear:
    """Seals nothing, but binds to the place and the row."""

    def seal(self, place: str, row: bytes, plain: bytes) -> bytes:
        return place.encode() + b"|" + row + b"|" + plain

    def open(self, place: str, row: bytes, envelope: bytes) -> bytes:
        head = self.seal(place, row, b"")
        if not envelope.startswith(head):
            raise ValueError("another envelope")
        return envelope.removeprefix(head)


CODEC = JournalCodec(sealer=Clear())
STOCKS: list[Stock | None] = ["checked", "unchecked", None]


@pytest.mark.parametrize("stock", STOCKS)
def test_the_stock_check_of_an_order_is_journaled(stock: Stock | None) -> None:
    sent = msgspec.structs.replace(placement(due(1)), stock=stock)
    assert CODEC.decode_order(CODEC.encode_order(sent)).stock == stock


@pytest.mark.parametrize("is_test", [True, False])
def test_an_order_of_a_key_for_tests_stays_a_test_order(is_test: bool) -> None:
    # Its body may say otherwise, and is what the journal has.
    sent = due(1)
    kept = msgspec.structs.replace(
        placement(orders.as_test(sent) if is_test else sent), raw=msgspec.json.encode(sent)
    )
    read = CODEC.decode_order(CODEC.encode_order(kept))
    made = Way().intake.journaled_placement(read)
    assert made.submission.is_test is is_test
    assert made.payload_digest == kept.payload_digest


def test_an_order_of_a_version_that_knew_no_stock_is_read() -> None:
    sent = placement(due(1))
    envelope = CODEC.encode_order(sent)
    head = Clear().seal("journal.entry", b"placements", b"")
    kept: dict[str, Any] = msgspec.msgpack.decode(envelope.removeprefix(head))
    del kept["stock"], kept["is_test"]
    order = CODEC.decode_order(head + msgspec.msgpack.encode(kept))
    assert (order.id, order.raw, order.stock) == (sent.id, sent.raw, None)
    assert order.is_test is False


def test_a_part_of_a_message_is_journaled_with_the_message() -> None:
    """Also where another part has stored it: which of them is new, only the ledger knows."""
    alone = follow_up(paid(), raw=b"message")
    assert CODEC.decode_follow_up(CODEC.encode_follow_up(alone)) == alone
    part = MessagePart(**msgspec.structs.asdict(alone), message=b"message")
    for raw in (b"message", None):
        sent = msgspec.structs.replace(part, raw=raw)
        assert CODEC.decode_follow_up(CODEC.encode_follow_up(sent)) == part
