"""Other numbers of an order in the ledger: one owner for each number, all or nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import events, fingerprint, orders
from gateway.domain.errors import Unavailable
from gateway.domain.placing import Placed
from gateway.providers import registry
from gateway.runtime.settings import Channel, Settings
from gateway.wiring import Gateway
from tests.domain.support import DUE, NOW, closed, delivered, due, paid, refunded, shipped
from tests.stores.support import (
    Database,
    alone,
    at_once,
    counts,
    gateways,
    placement,
    rows,
    submit,
    tell,
)
from tests.stores.test_late import ledger_of
from tests.support.patience import HANG_S

_ALIASES = "SELECT order_no, order_id FROM order_no_aliases ORDER BY order_no"
_TAKE_NUMBER = """
INSERT INTO order_events (
    id, source, source_key, action, outcome, trigger, occurred_at, received_at
)
VALUES (gen_random_uuid(), 'placed:web', 'W-2', 'x', 'x', 'x', now(), now())
"""


@pytest.fixture
async def rivals(settings: Settings) -> AsyncIterator[list[Gateway]]:
    """Two gateways that know nothing of each other, without Redis between them."""
    async with gateways(alone(settings), alone(settings)) as opened:
        yield opened


def click(order_no: str, **changes: Any) -> orders.Submission:
    """Return an order that looks like all of these, under its number."""
    return due(1, order_no=order_no, **changes)


def answered(outcomes: list[Any]) -> list[Placed]:
    assert all(isinstance(each, Placed) for each in outcomes), Counter(map(repr, outcomes))
    return outcomes


async def aliases(ledger: Database) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await ledger.fetch(_ALIASES)]


async def test_an_alias_leaves_its_line_and_its_message_and_no_order(
    gateway: Gateway, ledger: Database
) -> None:
    first = await submit(gateway, click("W-1"))
    second = placement(gateway, click("W-2"))
    placed = await gateway.intake.accept_order(second)
    assert placed == Placed("replayed", first.id, "web", "W-1", None)
    assert await aliases(ledger) == [("W-2", first.id)]
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["raw_messages"], made["outbox"]) == (
        1, 2, 2, 1,
    )  # fmt: skip
    row = await ledger.fetchrow("SELECT id, body FROM raw_messages WHERE id = $1", second.id)
    assert row is not None
    kept = gateway.stores.sealer.open("raw_messages.body", row["id"].bytes, row["body"])
    assert kept == second.raw


async def test_a_double_click_on_an_order_of_nothing_is_paid_as_the_first_is(
    gateway: Gateway, ledger: Database
) -> None:
    first = await submit(gateway, due(1, Decimal(0), order_no="W-1"))
    second = await submit(gateway, due(1, Decimal(0), order_no="W-2"))
    assert (first.status, first.version) == (second.status, second.version) == ("paid", 2)
    assert second.id == first.id


async def test_one_number_clicked_by_many_at_once_is_one_alias(
    rivals: list[Gateway], ledger: Database
) -> None:
    first = await submit(rivals[0], click("W-1"))
    sent = [(rivals[n % 2], placement(rivals[n % 2], click("W-2"))) for n in range(40)]
    outcomes = answered(await at_once([gateway.committer.place(each) for gateway, each in sent]))
    assert Counter((each.answer, each.id) for each in outcomes) == {("replayed", first.id): 40}
    assert await aliases(ledger) == [("W-2", first.id)]
    assert (await counts(ledger))["raw_messages"] == 2


async def test_one_number_of_different_payloads_at_once_is_the_alias_of_one(
    rivals: list[Gateway], ledger: Database
) -> None:
    await submit(rivals[0], click("W-1"))
    sent = [click("W-2", remark=str(n)) for n in range(20)]
    outcomes = answered(await at_once([submit(rivals[n % 2], each) for n, each in enumerate(sent)]))
    assert Counter(each.answer for each in outcomes) == {"replayed": 1, "conflict": 19}
    assert len(await aliases(ledger)) == 1


async def test_a_number_is_an_alias_or_an_order_and_never_both(
    rivals: list[Gateway], ledger: Database
) -> None:
    """An order of other goods takes the number at the same instant."""
    won: Counter[str] = Counter()
    for n in range(25):
        buyer = {"buyer_id": f"b-{n}", "recipient": {"phone": f"138001380{n:02d}"}}
        await submit(rivals[0], click(f"W-{n}", **buyer))
        clicked = click(f"X-{n}", **buyer)
        other = due(2, order_no=f"X-{n}", buyer_id=f"c-{n}")
        alias, order = answered(
            await at_once([submit(rivals[0], clicked), submit(rivals[1], other)])
        )
        assert (alias.answer, order.answer) in [("replayed", "conflict"), ("conflict", "placed")]
        won[order.answer] += 1
        is_alias = [number for number, _ in await aliases(ledger)].count(f"X-{n}")
        is_order = await ledger.fetchval(
            "SELECT count(*) FROM orders WHERE order_no = $1", f"X-{n}"
        )
        assert (is_alias, is_order) == ((1, 0) if order.answer == "conflict" else (0, 1))
    assert won.total() == 25


async def test_what_is_killed_before_its_commit_leaves_nothing(
    settings: Settings, ledger: Database
) -> None:
    """And what was answered is there: the alias is committed with its answer."""
    async with gateways(alone(settings)) as (gateway,):
        first = await submit(gateway, click("W-1"))
        async with ledger.acquire() as rival:
            # Another holds the number in the history: the alias is written and cannot be committed.
            holding = rival.transaction()
            await holding.start()
            await rival.execute(_TAKE_NUMBER)
            waiting = asyncio.ensure_future(submit(gateway, click("W-2")))
            async with asyncio.timeout(HANG_S):
                while not (
                    killed := await ledger.fetchval(
                        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                        "AND query LIKE '%order_no_aliases%' AND datname = current_database()"
                    )
                ):
                    await asyncio.sleep(0.01)
            await ledger.execute("SELECT pg_terminate_backend($1)", killed)
            with pytest.raises(Unavailable):
                await waiting
            assert await aliases(ledger) == []
            await holding.rollback()
        made = await counts(ledger)
        assert (made["orders"], made["order_events"], made["raw_messages"]) == (1, 1, 1)
    async with gateways(alone(settings)) as (gateway,):
        again = await submit(gateway, click("W-2"))
        assert (again.answer, again.id) == ("replayed", first.id)
        assert await aliases(ledger) == [("W-2", first.id)]


# --- what is told of an order by its other number ---

TOLD: dict[str, list[events.Event]] = {
    "a payment": [paid(order_no="W-2")],
    "a payment in two parts": [
        paid("40", order_no="W-1"),
        paid("60", order_no="W-2", transaction_id="T-2"),
    ],
    "a payment and its refund": [paid(order_no="W-2"), refunded("30", order_no="W-2")],
    "a payment by one number and its refund by the other": [
        paid(order_no="W-1"),
        refunded("30", order_no="W-2"),
    ],
    "a close": [closed(order_no="W-2")],
    "a parcel": [paid(order_no="W-1"), shipped("W-2")],
    "all of it": [paid(order_no="W-2"), shipped("W-1"), delivered("W-2")],
    "cash on delivery": [events.PaysOnDelivery("W-2", NOW), shipped("W-2"), delivered("W-2")],
    "a new price": [
        events.Amended(
            "W-2",
            "CNY",
            orders.Amounts(goods=Decimal(80), payable=Decimal(80)),
            (),
            "aa" * 16,
            NOW,
        )
    ],
    "something unmapped": [events.Unmapped("odd", "W-2", "of a new kind", NOW)],
}


async def state(ledger: Database, order_no: str) -> dict[str, Any]:
    """Return what the ledger has of an order, whatever named it."""
    row = await ledger.fetchrow(
        """
        SELECT status, version, hold, payable, paid, refunded, tracking_no,
               (SELECT count(*) FROM waiting) AS waiting,
               (SELECT array_agg(p.reason ORDER BY p.reason) FROM parked p
                 WHERE p.order_id = o.id) AS parked,
               (SELECT array_agg(p.standing ORDER BY p.standing) FROM payments p
                 WHERE p.order_id = o.id) AS payments,
               (SELECT count(*) FROM outbox x WHERE x.order_id = o.id) AS outbox
          FROM orders o WHERE order_no = $1
        """,
        order_no,
    )
    assert row is not None
    return dict(row)


def named(event: Any, order_no: str) -> events.Event:
    """Return an event as it is told of an order of its own."""
    changes = {"order_no": order_no}
    if events.transaction_id(event):
        changes["transaction_id"] = f"{order_no} {event.transaction_id}"
    renamed: events.Event = msgspec.structs.replace(event, **changes)
    return renamed


#: All that waits for its order, when it comes too early.
EARLY = [case for case in TOLD if case not in ("a new price", "something unmapped")]
CASES = [("after", case) for case in TOLD]
CASES += [(when, case) for when in ("before the alias", "before both", "missed") for case in EARLY]


@pytest.mark.parametrize(("when", "case"), CASES)
async def test_what_names_the_alias_is_about_the_order(
    gateway: Gateway, ledger: Database, case: str, when: str
) -> None:
    """As if all of it named the first number, whichever came first: an event or the number."""
    told = TOLD[case]
    await submit(gateway, due(9, order_no="E-1"))
    for event in told:
        await tell(gateway, named(event, "E-1"))
    if when != "before both":
        await submit(gateway, click("W-1"))
    if when in ("after", "missed"):
        await submit(gateway, click("W-2"))
    if when == "missed":
        # Two transactions that did not see each other.
        kept = await ledger.fetch("DELETE FROM order_no_aliases RETURNING *")
    for event in told:
        await tell(gateway, event)
    if when == "before both":
        await submit(gateway, click("W-1"))
    if when.startswith("before"):
        assert (await submit(gateway, click("W-2"))).answer == "replayed"
    if when == "missed":
        await ledger.copy_records_to_table("order_no_aliases", records=[tuple(r) for r in kept])
        for id_ in await gateway.maintenance.orders_to_settle(10):
            await gateway.intake.settle(id_)
    assert await state(ledger, "W-1") == await state(ledger, "E-1")
    assert (await counts(ledger))["orders"] == 2


async def test_one_payment_told_by_either_number_counts_once(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, click("W-1"))
    await submit(gateway, click("W-2"))
    assert (await tell(gateway, paid(order_no="W-2"))).outcome == "applied"
    assert (await tell(gateway, paid(order_no="W-1"))).outcome == "repeat"
    assert (await state(ledger, "W-1"))["parked"] is None


@pytest.mark.parametrize(
    "how", [{"channels": ("app",)}, {"is_test": True}], ids=["another channel", "a test"]
)
async def test_an_alias_is_one_within_its_channel_and_kind(
    gateway: Gateway, ledger: Database, how: dict[str, Any]
) -> None:
    await submit(gateway, click("W-1"))
    await submit(gateway, click("W-2"))
    assert (await tell(gateway, paid(order_no="W-2"), **how)).outcome == "waiting"
    assert await gateway.maintenance.orders_to_settle(10) == []
    # The other channel, or kind, may have an order of that number.
    channel = how.get("channels", ("web",))[0]
    other = await submit(
        gateway, due(2, order_no="W-2", channel=channel, is_test=how.get("is_test", False))
    )
    assert other.answer == "placed"
    assert (await state(ledger, "W-1"))["paid"] == 0
    assert (await state(ledger, "W-2"))["paid"] == DUE


async def test_what_waits_in_vain_for_an_alias_is_shown_with_its_order(
    gateway: Gateway, ledger: Database
) -> None:
    first = await submit(gateway, click("W-1"))
    await submit(gateway, click("W-2"))
    await tell(gateway, shipped("W-2"))
    assert len(await gateway.maintenance.park_overdue_events(-1.0, 10)) == 1
    assert await rows(ledger, "parked", "order_id", "detail") == [
        (first.id, "shipped waits for what must come before it")
    ]


# --- keys of storefronts, and orders of shops ---


async def told(gateway: Gateway, sent: orders.Submission) -> Placed:
    """Place an order as a shop reports it."""
    shop = gateway.intake.shop_placement(
        sent,
        id_=gateway.new_id(),
        raw=b"{}",
        trigger="callback:shop:main",
        received_at=gateway.clock.now(),
        policies=gateway.policies.now,
    )
    return await gateway.intake.accept_order(shop)


@pytest.mark.parametrize("shop_first", [True, False], ids=["the shop first", "the key first"])
async def test_no_key_of_a_storefront_is_in_the_way_of_an_order_of_a_shop(
    gateway: Gateway, ledger: Database, shop_first: bool
) -> None:
    """Nor the other way round, whatever the key says."""
    keys = ["order:W-1", "W-1", "placed:web", "waiting", "shop:main", "order:W-1:paid"]
    placed = {"shop": await told(gateway, due(1, order_no="W-1"))} if shop_first else {}
    for n, key in enumerate(keys):
        placed[key] = await submit(gateway, due(10 + n, order_no=f"X-{n}"), key)
    if not shop_first:
        placed["shop"] = await told(gateway, due(1, order_no="W-1"))
    assert {each.answer for each in placed.values()} == {"placed"}
    assert (await counts(ledger))["orders"] == len(keys) + 1
    again = [await told(gateway, due(1, order_no="W-1"))]
    again += [
        await submit(gateway, due(10 + n, order_no=f"X-{n}"), key) for n, key in enumerate(keys)
    ]
    assert {each.answer for each in again} == {"replayed"}
    assert {each.id for each in again} == {each.id for each in placed.values()}


async def _as_before(ledger: Database, order_no: str) -> None:
    """Give an order of a shop the request id with which earlier versions stored it."""
    await ledger.execute(
        "UPDATE orders SET request_id = 'order:' || order_no WHERE order_no = $1", order_no
    )


@pytest.mark.parametrize("is_late", [False, True], ids=["live", "late"])
async def test_an_order_of_a_shop_from_an_earlier_version_keeps_no_key(
    gateway: Gateway, ledger: Database, is_late: bool
) -> None:
    sent = due(1, order_no="W-1")
    shop = await told(gateway, sent)
    await _as_before(ledger, "W-1")
    # Told again by either version it is a repeat.
    assert (await told(gateway, sent)).id == shop.id
    await gateway.committer.drain()
    into = ledger_of(gateway, is_late=is_late)
    other = placement(gateway, due(2, order_no="W-2"), "order:W-1")
    (placed,) = await into.place([other])
    assert isinstance(placed, Placed)
    assert (placed.answer, placed.id) == ("placed", other.id)
    # The key is that of its order now, for good.
    (reused,) = await into.place([placement(gateway, due(3, order_no="W-3"), "order:W-1")])
    assert isinstance(reused, Placed)
    assert (reused.answer, reused.id) == ("key_reused", other.id)
    assert (await told(gateway, sent)).id == shop.id
    assert await rows(ledger, "orders", "order_no", "request_id") == [
        ("W-1", None), ("W-2", "order:W-1"),
    ]  # fmt: skip


async def test_a_key_that_a_storefront_chose_like_that_stays_its_own(
    gateway: Gateway, ledger: Database
) -> None:
    """It looks like those of earlier versions, and was sent with an order of that number."""
    first = await submit(gateway, due(1, order_no="W-1"), "order:W-1")
    await gateway.committer.drain()
    reused = await submit(gateway, due(2, order_no="W-2"), "order:W-1")
    assert (reused.answer, reused.id) == ("key_reused", first.id)
    assert await rows(ledger, "orders", "request_id") == [("order:W-1",)]


@pytest.mark.parametrize("policy", ["hold", "replay", "off"])
async def test_orders_of_a_shop_are_never_aliases(
    settings: Settings, ledger: Database, policy: Any
) -> None:
    """A shop gives each order its number, and the buyer pays each."""
    channels = [Channel("web", policy)]
    async with gateways(msgspec.structs.replace(settings, channels=channels)) as (gateway,):
        placed = [await told(gateway, click(f"W-{n}")) for n in range(3)]
    assert [each.answer for each in placed] == ["placed"] * 3
    assert await aliases(ledger) == []
    held = None if policy == "off" else "lookalike"
    assert [each.hold for each in placed] == [None, held, held]


def test_no_account_and_no_channel_has_a_name_that_the_ledger_uses_itself() -> None:
    """Sources are `<provider>:<account>`; those of the gateway itself begin otherwise."""
    own = {"placed", "placed-test", "refund", "waiting", "journal", "remark", "release"}
    assert own.isdisjoint(registry.PROVIDERS)


def test_a_digest_of_one_kind_is_never_that_of_another() -> None:
    """Results and claims of all kinds share a name space in Redis."""
    sent = due(1, order_no="W-1")
    payload = fingerprint.payload(sent)
    names = ["order:W-1", "W-1", "3:webW-1", "order|3:webW-1", "request|3:webW-1", payload.hex()]
    digests = [
        payload,
        *[fingerprint.exact(payload, name) for name in names],
        *fingerprint.similarity(sent, "1"),
        fingerprint.order_number(sent),
        *[fingerprint.request(sent, name) for name in names],
        *[fingerprint.callback("web", name) for name in names],
        fingerprint.buyer("web", "W-1"),
    ]
    assert len(set(digests)) == len(digests)
