"""Bytes written by an earlier version are read, and those written now are the same bytes.

Processes of two versions run side by side while one replaces the other: what either leaves in
the journal, under a claim or in the result cache, the other must read.
"""

from types import SimpleNamespace

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.following import FollowUp
from gateway.domain.placing import ExistingOrder, Placed
from gateway.intake import journal_codec
from gateway.intake.journal import Journal
from gateway.intake.journal_codec import JournalCodec
from gateway.intake.journal_monitor import JournalMonitor
from gateway.runtime.settings import Settings
from tests.domain.support import NOW, due, placement
from tests.intake.support import Way
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.journal_streams import FakeJournalStreams

# Written by version 0.1.0, as of 2026-11-28.
SUBMITTED = (
    b"\x87\xa2id\xd9$00000000-0000-7000-8000-000000000001\xa3raw\xc4\x12"
    b'{"order_no":"W-1"}'
    b"\xaarequest_id\xa9order:W-1\xa7trigger\xa4test\xabreceived_at\xd6\xffk\x03\x9e \xa4told\xc0"
    b"\xa5stock\xa7checked"
)
SHOP_ORDER = (
    b'{"channel":"web","order_no":"W-1","buyer_id":"b-lt-00000001",'
    b'"placed_at":"2026-11-23T10:00:00+08:00","currency":"CNY","items":[{"sku":"SKU-1",'
    b'"name":"Tea","quantity":1,"unit_price":"100.00","discount":"0"}],"amounts":'
    b'{"goods":"100.00","payable":"100.00","shop_discount":"0","platform_subsidy":"0",'
    b'"freight":"0"},"recipient":{"name":"Zhang San","phone":"13800000001","country":"CN",'
    b'"street":"Longjing Road 2, Building 2, Room 1203","province":"Zhejiang",'
    b'"city":"Hangzhou","district":"Xihu","postcode":"310013","id_number":null},'
    b'"remark":"Please call before delivery, slip 00000001","is_test":false,"attributes":null}'
)
SHOP = (
    b"\x87\xa2id\xd9$00000000-0000-7000-8000-000000000001\xa3raw\xc4\x08"
    b'{"id":1}'
    b"\xaarequest_id\xa9order:W-1\xa7trigger\xa4test\xabreceived_at\xd6\xffk\x03\x9e \xa4told"
    b"\xc5\x02g" + SHOP_ORDER + b"\xa5stock\xa9unchecked"
)
EVENT = (
    b"\x89\xa2id\xd9$00000000-0000-7000-8000-000000000002\xa6source\xabstripe:main"
    b"\xaasource_key\xa5evt_1\xa8provider\xa6stripe\xa8channels\x91\xa3web\xa5event\x88\xa4type"
    b"\xb0refund_succeeded\xaetransaction_id\xa3T-1\xa8order_no\xa3W-1\xa9refund_no\xa3R-1"
    b"\xa6amount\xa510.00\xaacumulative\xc2\xa8currency\xa3CNY\xaboccurred_at\xd6\xffk\x03\x9e\x98"
    b"\xa7trigger\xb4callback:stripe:main\xabreceived_at\xd6\xffk\x03\x9e \xa3raw\xc4\x03raw"
)
PLACED = (
    b"\x8a\xa6answer\xa8replayed\xa2id\xd9$00000000-0000-7000-8000-000000000001\xa7channel\xa3web"
    b"\xa8order_no\xa3W-1\xa4hold\xa9lookalike\xa6status\xafpending_payment\xa7version\x01"
    b"\xaepayload_digest\xc4\x00\xabhas_waiting\xc2\xacis_journaled\xc3"
)
KNOWN = (
    b"\x8a\xa2id\xd9$00000000-0000-7000-8000-000000000001\xa7channel\xa3web\xa8order_no\xa3W-1"
    b"\xaepayload_digest\xc4\x10dddddddddddddddd\xa6status\xafpending_payment\xa7version\x01"
    b"\xabplaced_hold\xc0\xa9lookalike\xc4\x10llllllllllllllll\xaarequest_id\xa3k-1"
    b"\xabreceived_at\xd6\xffk\x03\x9e "
)
ID = "00000000-0000-7000-8000-000000000001"


class Unsealed:
    """Leaves bytes as they are."""

    def seal(self, place: str, row: bytes, plain: bytes) -> bytes:
        return plain

    def open(self, place: str, row: bytes, envelope: bytes) -> bytes:
        return envelope


CODEC = JournalCodec(sealer=Unsealed())


def test_a_submitted_order_is_read() -> None:
    order = CODEC.decode_order(SUBMITTED)
    assert (str(order.id), order.raw, order.shop_order) == (ID, b'{"order_no":"W-1"}', None)
    assert (order.request_id, order.trigger, order.received_at) == ("order:W-1", "test", NOW)
    assert order.stock == "checked"


def test_an_order_of_a_shop_is_read_and_made_ready_to_store() -> None:
    order = CODEC.decode_order(SHOP)
    assert (order.raw, order.shop_order, order.stock) == (b'{"id":1}', SHOP_ORDER, "unchecked")
    made = Way().intake.journaled_placement(order)
    assert made.is_from_shop
    # For earlier versions alone: no key of a storefront may meet it.
    assert made.request_id is None
    assert made.submission == due(1, order_no="W-1")


def test_an_event_is_read() -> None:
    event = CODEC.decode_follow_up(EVENT)
    assert isinstance(event, FollowUp)
    assert (event.source, event.source_key, event.channels) == ("stripe:main", "evt_1", ("web",))
    assert isinstance(event.event, events.RefundSucceeded)
    assert (event.event.refund_no, event.raw) == ("R-1", b"raw")


def test_orders_and_events_are_written_as_before() -> None:
    for written in (SUBMITTED, SHOP):
        order = CODEC.decode_order(written)
        sent = msgspec.structs.replace(
            placement(due(1, order_no="W-1"), request_id=order.request_id),
            id=order.id,
            raw=order.raw,
            is_from_shop=order.shop_order is not None,
            stock=order.stock,
        )
        assert _without_is_test(CODEC.encode_order(sent)) == written
    again = CODEC.encode_follow_up(CODEC.decode_follow_up(EVENT))
    assert _without_is_test(again) == EVENT


def _without_is_test(written: bytes) -> bytes:
    """Leave out what earlier versions do not know and ignore."""
    fields = msgspec.msgpack.decode(written, ext_hook=msgspec.msgpack.Ext)
    assert fields.pop("is_test") is False
    assert fields.pop("asked", None) is None
    # Their times are of an extension type, which plain decoding turns into one of Python's.
    return msgspec.msgpack.encode(fields)


async def test_a_cached_result_is_read_and_written_as_before() -> None:
    way, sent = Way(), placement(due(1))
    way.results.stored[sent.exact] = PLACED
    placed = await way.committer.place(sent)
    assert (str(placed.id), placed.answer, placed.hold) == (ID, "replayed", "lookalike")
    assert way.ledger.batches == []
    other = placement(due(2))
    await way.committer.place(other)
    await way.committer.drain()
    stored = msgspec.msgpack.decode(way.results.stored[other.exact])
    assert list(stored) == list(msgspec.msgpack.decode(PLACED))


async def test_the_value_of_a_claim_is_read_and_written_as_before() -> None:
    streams = FakeJournalStreams(claimed=KNOWN)
    settings = Settings(database_url="postgresql://nowhere")
    monitor = JournalMonitor(
        streams=streams,
        clock=ManualClock(),
        settings=settings,
        key_ring=SimpleNamespace(refusal=""),
    )
    journal = Journal(streams=streams, codec=CODEC, monitor=monitor, claim_s=60)
    sent = msgspec.structs.replace(
        placement(due(1, order_no="W-1"), request_id="k-1"),
        id=msgspec.msgpack.decode(KNOWN, type=ExistingOrder).id,
        payload_digest=b"d" * 16,
        lookalike=b"l" * 16,
    )
    (placed,) = await journal.place([sent])
    assert isinstance(placed, Placed)
    assert (str(placed.id), placed.answer, placed.is_journaled) == (ID, "replayed", True)
    (offered,) = [msgspec.msgpack.decode(entry.claim_value) for entry in streams.offered]
    # Earlier versions do not know it and ignore it.
    assert offered.pop("placed_at")
    assert offered == msgspec.msgpack.decode(KNOWN)
    assert list(offered) == list(msgspec.msgpack.decode(KNOWN))


@pytest.mark.parametrize("damaged", [b"", SHOP[:-1], EVENT])
def test_damaged_bytes_are_unreadable(damaged: bytes) -> None:
    with pytest.raises(journal_codec.Unreadable):
        CODEC.decode_order(damaged)
