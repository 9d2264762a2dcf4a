"""Orders that come with their payment: placed and paid in one answer, once, however often sent."""

import asyncio
import csv
import io
import itertools
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Channel, Settings
from gateway.wiring import open_gateway
from tests.domain.support import NOW
from tests.stores.support import tell
from tests.support.cable import cable_to
from tests.support.patience import HANG_S
from tests.support.site import Site, serve
from tests.web.support import Wire, order

_AT = "2026-11-23T10:05:00+08:00"
_PENDING = ("pending_payment", 1, None)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    channels = [
        Channel("web"),
        Channel("tmall", paid_by="platform"),
        Channel("jd", paid_by="platform", parts="single"),
    ]
    return msgspec.structs.replace(settings, channels=channels)


@pytest.fixture
def wire(both_paths: Wire) -> Wire:
    return both_paths


def paid(channel: str = "tmall", *, due: str = "100.00", **payment: Any) -> dict[str, Any]:
    """Return an order over 100.00 with its payment."""
    line = {"sku": "TEA-1", "name": "Tea", "quantity": 1, "unit_price": due}
    amounts = {"goods": due, "payable": due, "freight": "0"}
    sent = order(channel=channel, items=[line], amounts=amounts)
    number = f"T-{sent['order_no']}"
    sent["payment"] = {"provider": "alipay", "transaction_id": number, "paid_at": _AT} | payment
    return sent


async def submit(wire: Wire, sent: dict[str, Any], **more: Any) -> tuple[int, Any]:
    answer = await wire.submit(json.dumps(sent | more).encode())
    return answer.status, answer.json


async def read(wire: Wire, sent: dict[str, Any]) -> Any:
    answer = await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")
    (found,) = answer.json["orders"]
    return found


async def history(wire: Wire, sent: dict[str, Any]) -> list[tuple[Any, ...]]:
    id_ = (await read(wire, sent))["id"]
    events = (await wire.ask("GET", f"/v1/orders/{id_}/events")).json["events"]
    return [(each["action"], each["to_status"], each["outcome"]) for each in events]


def told(answer: Any) -> tuple[Any, ...]:
    return answer["status"], answer["version"], answer["hold"]


async def test_it_is_stored_as_paid_in_one_answer(site: Site, wire: Wire) -> None:
    sent = paid()
    status, answer = await submit(wire, sent)
    assert (status, told(answer)) == (201, ("paid", 2, None))
    stored = await read(wire, sent)
    assert (stored["status"], stored["version"]) == ("paid", 2)
    assert stored["amounts"]["paid"] == "100.00"
    assert (await history(wire, sent)) == [
        ("placed", "pending_payment", "applied"),
        ("payment_succeeded", "paid", "applied"),
    ]
    pool = site.gateway.stores.primary
    row = await pool.fetchrow(
        "SELECT provider, source, transaction_id, amount, standing FROM payments "
        "WHERE order_no = $1", sent["order_no"],
    )  # fmt: skip
    assert tuple(row) == (
        "alipay", "submitted:tmall", sent["payment"]["transaction_id"], Decimal(100), "applied",
    )  # fmt: skip
    topics = await pool.fetch(
        "SELECT topic FROM outbox WHERE order_id = $1 ORDER BY version", stored["id"]
    )
    assert [topic for (topic,) in topics] == ["order.placed", "order.paid"]
    raw = await pool.fetchval("SELECT count(*) FROM raw_messages WHERE id = $1", stored["id"])
    assert raw == 1


async def test_every_repeat_gets_the_same_answer(site: Site, wire: Wire) -> None:
    sent = paid()
    _, first = await submit(wire, sent)
    await site.gateway.committer.drain()
    for _ in range(3):
        status, again = await submit(wire, sent)
        assert (status, again) == (200, first)
    assert len(await history(wire, sent)) == 2
    # Also when it has moved on.
    pool = site.gateway.stores.primary
    assert (
        await pool.fetchval("SELECT count(*) FROM payments WHERE order_no = $1", sent["order_no"])
        == 1
    )


async def test_many_at_once_are_one_order_with_one_payment(site: Site, wire: Wire) -> None:
    sent = paid()
    answers = await asyncio.gather(*[submit(wire, sent) for _ in range(12)])
    assert {(answer["id"], *told(answer)) for _, answer in answers} == {
        (answers[0][1]["id"], "paid", 2, None)
    }
    assert len(await history(wire, sent)) == 2


async def test_an_order_that_comes_again_with_its_payment_is_paid_then(wire: Wire) -> None:
    """As after a crash between the two, or from a platform that reports an order twice."""
    sent = paid()
    unpaid = {name: value for name, value in sent.items() if name != "payment"}
    status, first = await submit(wire, unpaid)
    assert (status, told(first)) == (201, _PENDING)
    status, again = await submit(wire, sent)
    assert (status, again["id"], told(again)) == (200, first["id"], ("paid", 2, None))
    # Without it again, it is the order as it was placed.
    assert (await submit(wire, unpaid)) == (200, first)


@pytest.mark.parametrize("kind", ["before", "after"])
async def test_what_fails_between_order_and_payment_is_made_good_by_the_repeat(
    site: Site, wire: Wire, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    intake = site.gateway.intake
    accept = intake.accept_event

    async def failing(*arguments: Any) -> Any:
        if kind == "after":
            await accept(*arguments)
        raise Unavailable("postgres")

    sent = paid()
    monkeypatch.setattr(intake, "accept_event", failing)
    status, _ = await submit(wire, sent)
    assert status == 503
    monkeypatch.undo()
    status, answer = await submit(wire, sent)
    assert (status, told(answer)) == (200, ("paid", 2, None))
    assert (await read(wire, sent))["amounts"]["paid"] == "100.00"


@pytest.mark.parametrize(
    ("channel", "amount", "now", "stored"),
    [
        ("tmall", None, ("paid", 2, None), "100.00"),
        ("tmall", "100.00", ("paid", 2, None), "100.00"),
        # The rest is paid by another way, as another part.
        ("tmall", "60.00", _PENDING, "60.00"),
        ("jd", "60.00", ("pending_payment", 1, "amount_mismatch"), "0.00"),
    ],
)
async def test_the_amount_is_what_is_payable_or_a_part_of_it(
    wire: Wire, channel: str, amount: str | None, now: tuple[Any, ...], stored: str
) -> None:
    sent = paid(channel, **({} if amount is None else {"amount": amount}))
    for status in (201, 200):
        assert (await submit(wire, sent))[0] == status
        _, answer = await submit(wire, sent)
        assert told(answer) == now
    assert (await read(wire, sent))["amounts"]["paid"] == stored


async def test_two_payments_of_one_order_add_up(wire: Wire) -> None:
    sent = paid(amount="60.00")
    await submit(wire, sent)
    sent["payment"] |= {
        "transaction_id": sent["payment"]["transaction_id"] + "b",
        "amount": "40.00",
    }
    status, answer = await submit(wire, sent)
    assert (status, answer["status"]) == (200, "paid")
    assert (await read(wire, sent))["amounts"]["paid"] == "100.00"


async def test_a_subsidy_of_the_platform_is_not_the_buyers_money(wire: Wire) -> None:
    sent = paid()
    sent["amounts"] |= {"platform_subsidy": "30.00", "payable": "70.00"}
    _, answer = await submit(wire, sent)
    assert told(answer) == ("paid", 2, None)
    amounts = (await read(wire, sent))["amounts"]
    assert (amounts["paid"], amounts["platform_subsidy"]) == ("70.00", "30.00")


async def test_the_platforms_own_state_is_kept_as_it_says(wire: Wire) -> None:
    sent = paid() | {"platform_state": "WAIT_SELLER_SEND_GOODS"}
    _, first = await submit(wire, sent)
    assert (await read(wire, sent))["platform_state"] == "WAIT_SELLER_SEND_GOODS"
    # It is no part of what was ordered: told again in its next state, the order is the same.
    assert (await submit(wire, sent | {"platform_state": "已发货"})) == (200, first)
    answer = await wire.ask("GET", f"/v1/orders/export?order_no={sent['order_no']}")
    (row,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert row["platform_state"] == "WAIT_SELLER_SEND_GOODS"


async def test_an_order_of_nothing_is_paid_whatever_its_payment_says(wire: Wire) -> None:
    sent = paid(due="0.00", amount="0.00")
    for status in (201, 200):
        code, answer = await submit(wire, sent)
        assert (code, told(answer)) == (status, ("paid", 2, None))
    assert len(await history(wire, sent)) == 2


async def test_two_paid_orders_are_never_one_double_click(wire: Wire) -> None:
    first = paid()
    second = first | {"order_no": first["order_no"] + "-2"}
    second["payment"] = first["payment"] | {"transaction_id": "T-" + second["order_no"]}
    (_, one), (status, two) = await submit(wire, first), await submit(wire, second)
    assert (status, one["id"] == two["id"], two["status"]) == (201, False, "paid")


async def test_a_transaction_pays_one_order(wire: Wire) -> None:
    first, other = paid(), paid()
    other["payment"] = first["payment"]
    await submit(wire, first)
    _, answer = await submit(wire, other)
    assert answer["status"] == "pending_payment"
    assert (await submit(wire, other))[1]["status"] == "pending_payment"
    assert (await read(wire, other))["amounts"]["paid"] == "0.00"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"channel": "web"}, ["payment"]),
        ({"payment": {"provider": "alipay", "transaction_id": "T"}}, ["payment.paid_at"]),
        ({"payment": {"transaction_id": "T", "paid_at": _AT}}, ["payment.provider"]),
        ({"payment": {"provider": "Ali Pay", "transaction_id": "T", "paid_at": _AT}},
         ["payment.provider"]),
        ({"payment": {"provider": "a", "transaction_id": "T T", "paid_at": _AT}},
         ["payment.transaction_id"]),
        ({"payment": {"provider": "a", "transaction_id": "T", "paid_at": _AT, "x": 1}},
         ["payment.x"]),
        ({"payment": {"provider": "a", "transaction_id": "T", "paid_at": _AT, "amount": "0.005"}},
         ["payment.amount"]),
        ({"payment": {"provider": "a", "transaction_id": "T", "paid_at": _AT, "amount": "0"}},
         ["payment.amount"]),
        ({"payment": {"provider": "a", "transaction_id": "T", "paid_at": _AT, "amount": "-1"}},
         ["payment.amount"]),
        ({"payment": {"provider": "a", "transaction_id": "T", "paid_at": "2126-01-01T00:00:00Z"}},
         ["payment.paid_at"]),
        ({"payment": 7, "currency": "XXX"}, ["payment", "currency"]),
        ({"payment": {"provider": "a", "transaction_id": 7, "paid_at": _AT}, "buyer_id": ""},
         ["payment.transaction_id", "buyer_id"]),
        ({"platform_state": "x" * 65}, ["platform_state"]),
    ],
)  # fmt: skip
async def test_what_may_not_be_is_named_and_nothing_is_stored(
    wire: Wire, changes: dict[str, Any], fields: list[str]
) -> None:
    sent = paid() | changes
    answer = await wire.submit(json.dumps(sent).encode())
    assert (answer.status, sorted(answer.fields)) == (422, sorted(fields))
    found = await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")
    assert found.json["orders"] == []


@pytest.mark.parametrize("payment", [None, ...])
async def test_a_channel_of_a_platform_takes_orders_that_are_not_paid_yet(
    wire: Wire, payment: Any
) -> None:
    sent = paid() | {"payment": payment}
    if payment is ...:
        del sent["payment"]
    status, answer = await submit(wire, sent)
    assert (status, told(answer)) == (201, _PENDING)


@pytest.mark.parametrize("sequence", sorted(set(itertools.permutations("uppsn"))), ids="".join)
async def test_in_whatever_sequence_it_is_told_it_is_paid_once(
    site: Site, wire: Wire, sequence: tuple[str, ...]
) -> None:
    """Told unpaid, paid (twice), shipped, and with an idempotency key of its own."""
    sent = paid()
    unpaid = {name: value for name, value in sent.items() if name != "payment"}
    shipped = events.Shipped(sent["order_no"], "SF", f"SF-{sent['order_no']}", NOW)
    for step in sequence:
        if step == "s":
            await tell(site.gateway, shipped, channels=("tmall",))
            continue
        body = json.dumps(unpaid if step == "u" else sent).encode()
        key = (("Idempotency-Key", sent["order_no"]),) if step == "n" else ()
        answer = await wire.submit(body, key)
        assert answer.status in (200, 201)
        assert answer.json["status"] == ("pending_payment" if step == "u" else "paid")
    stored = await read(wire, sent)
    assert (stored["status"], stored["amounts"]["paid"]) == ("shipped", "100.00")
    assert stored["hold"] is None
    moves = [to for _, to, outcome in await history(wire, sent) if outcome == "applied"]
    assert moves == ["pending_payment", "paid", "shipped"]


async def test_a_refund_by_the_providers_own_account_finds_the_payment(
    site: Site, wire: Wire
) -> None:
    sent = paid()
    await submit(wire, sent)
    number = sent["payment"]["transaction_id"]
    refund = events.RefundSucceeded(number, "", "R-1", Decimal("100.00"), True, "CNY", NOW)
    done = await tell(
        site.gateway, refund, source="alipay:main", provider="alipay", channels=("tmall",)
    )
    assert (done.outcome, done.status) == ("applied", "refunded")
    # And a repeat of the submission still tells how it was placed.
    assert told((await submit(wire, sent))[1]) == ("paid", 2, None)


@pytest.fixture
async def away(settings: Settings) -> AsyncIterator[tuple[Wire, Site, Any]]:
    """A gateway that has lost its database, and the cable to mend."""
    async with cable_to(settings.database_url) as cable:
        changed = msgspec.structs.replace(
            settings, database_url=cable.url, replica_urls="", journal_after_s=0.3
        )
        async with open_gateway(changed) as gateway, serve(gateway) as site:
            wire = Wire(site.host, site.port, site.token)
            await submit(wire, paid())
            cable.cut()
            yield wire, site, cable
            cable.mend()


async def test_in_an_outage_both_are_journaled_and_drained(
    away: tuple[Wire, Site, Any], settings: Settings
) -> None:
    from workers import supervisor
    from workers.drainer import Drainer

    wire, site, cable = away
    sent = paid()
    status, first = await submit(wire, sent)
    assert (status, told(first)) == (202, ("paid", 2, None))
    status, again = await submit(wire, sent)
    assert (status, again) == (202, first)
    cable.mend()
    gateway = site.gateway
    drainer = supervisor.tasks(gateway)["drainer"]
    assert isinstance(drainer, Drainer)
    streams = gateway.stores.journal_streams
    assert streams is not None
    async with asyncio.timeout(HANG_S):
        while (await streams.depth()).entries:
            await drainer.round()
    stored = await read(wire, sent)
    assert (stored["id"], stored["status"]) == (first["id"], "paid")
    assert stored["amounts"]["paid"] == "100.00"
    assert (await submit(wire, sent))[1] == first


@pytest.mark.parametrize(
    ("written", "is_"),
    [
        ("2026-11-23T10:05+08:00", "2026-11-23T02:05:00Z"),
        ("2026-11-23t02:05z", "2026-11-23T02:05:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
    ],
)
async def test_the_time_of_a_payment_may_lack_its_seconds_as_that_of_the_order_may(
    wire: Wire, written: str, is_: str
) -> None:
    sent = paid(paid_at=written)
    assert (await submit(wire, sent))[0] == 201
    assert (await read(wire, sent))["paid_at"] == is_
