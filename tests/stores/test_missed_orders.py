"""The list of missed orders is what the pure rule says; pushing tells the same event again."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import msgspec

from gateway.domain import events
from gateway.domain import missed as rule
from gateway.domain.following import Acceptance
from gateway.domain.missed import AcceptingTarget
from gateway.domain.orders import Hold, Status
from gateway.stores.postgres import audit
from gateway.stores.postgres.missed_orders import MissedCount, MissedOrders
from gateway.wiring import Gateway
from tests.domain.support import NOW, closed, paid, refunded, shipped
from tests.stores.missed_support import (
    WMS,
    attempted,
    delivery,
    missed,
    numbers,
    told,
    told_again,
)
from tests.stores.support import Database, counts, tell

ACCEPTED = events.Accepted("W-1", "wms", "", NOW)


def store(gateway: Gateway) -> MissedOrders:
    return MissedOrders(pool=gateway.stores.primary)


async def test_an_order_is_missed_when_its_time_is_over_and_not_before(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await told(gateway, ledger, 1, age_s=601)
    await told(gateway, ledger, 2, age_s=595)
    (found,) = await missed(gateway)
    assert (found.order_id, found.order_no, found.channel, found.target) == (
        id_,
        "W-1",
        "web",
        "wms",
    )
    assert (found.standing, found.attempts, found.last_attempt_at) == ("not tried", 0, None)
    assert 600 < found.waited_s(datetime.now(UTC)) < 660
    (count,) = await store(gateway).counts([WMS], datetime.now(UTC))
    assert msgspec.structs.replace(count, oldest_s=0.0) == MissedCount("wms", 1, 0.0)
    assert 600 < count.oldest_s < 660


async def test_the_statement_and_the_pure_rule_agree_in_every_state(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await told(gateway, ledger)
    word = Acceptance("wms", "", NOW)
    others = Acceptance("erp", "", NOW)
    for status, hold, words in product(
        get_args(Status), (None, *get_args(Hold)), ((), (others,), (others, word))
    ):
        await ledger.execute(
            "UPDATE orders SET status = $2, hold = $3, acceptances = nullif($4::jsonb, '[]') "
            "WHERE id = $1",
            id_,
            status,
            hold,
            msgspec.json.encode(words).decode(),
        )
        expected = rule.awaits(status=status, hold=hold, acceptances=words, target="wms")
        assert bool(await missed(gateway)) is expected, (status, hold, words)
        found = await store(gateway).counts([WMS], datetime.now(UTC))
        assert bool(found) is expected
        # What it does not list, it forgets, and nothing else.
        async with ledger.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            forgotten = MissedOrders(pool=_Only(connection))
            assert await forgotten.forget_settled([WMS], datetime.now(UTC), 10) == (not expected)
            await transaction.rollback()


class _Only:
    """A pool of one connection, within a transaction of the test."""

    def __init__(self, connection: Any) -> None:
        self.execute = connection.execute


async def test_each_target_has_its_own_time_and_its_own_word(
    gateway: Gateway, ledger: Database
) -> None:
    erp = AcceptingTarget("erp", timedelta(hours=1))
    id_ = await told(gateway, ledger)
    await told_again(ledger, id_, target="erp")
    assert [each.target for each in await missed(gateway, WMS, erp)] == ["wms"]
    late = AcceptingTarget("erp", timedelta(seconds=1))
    assert {each.target for each in await missed(gateway, WMS, late)} == {"wms", "erp"}
    await tell(gateway, ACCEPTED)
    assert [each.target for each in await missed(gateway, WMS, late)] == ["erp"]


async def test_what_became_of_telling_it_is_shown(gateway: Gateway, ledger: Database) -> None:
    await told(gateway, ledger)
    await attempted(ledger, "failed", 503, "the target is busy")
    (found,) = await missed(gateway)
    assert (found.standing, found.last_status_code, found.last_reason) == (
        "dead letter", 503, "the target is busy",
    )  # fmt: skip
    await delivery(ledger)
    (found,) = await missed(gateway)
    assert (found.standing, found.attempts) == ("pending", 3)
    await ledger.execute("UPDATE deliveries SET dead_at = now()")
    assert [each.standing for each in await missed(gateway)] == ["dead letter"]
    await ledger.execute("DELETE FROM deliveries")
    await attempted(ledger, "delivered", 200, "")
    (found,) = await missed(gateway)
    assert (found.standing, found.last_status_code) == ("delivered", 200)


async def test_it_is_filtered_and_paged_without_a_gap(gateway: Gateway, ledger: Database) -> None:
    for n in range(7):
        channel = "app" if n % 2 else "web"
        await told(gateway, ledger, n, age_s=1000 - n, channel=channel)
    assert await numbers(gateway, channels=["app"]) == ["W-1", "W-3", "W-5"]
    found: list[str] = []
    after = None
    while page := await missed(gateway, after=after, limit=3):
        found += [each.order_no for each in page]
        after = rule.Place.read(rule.Place.of(page[-1]).text())
        assert after == rule.Place.of(page[-1])
    assert found == [f"W-{n}" for n in range(7)]


async def test_a_hold_takes_it_off_and_its_end_begins_anew(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await told(gateway, ledger)
    await tell(gateway, events.HeldByPerson("W-1", "looked at", NOW))
    assert await missed(gateway) == []
    assert await store(gateway).forget_settled([WMS], datetime.now(UTC), 10) == 1
    await tell(gateway, events.Released("W-1", "fine", NOW + timedelta(seconds=1)))
    await told_again(ledger, id_, age_s=0)
    assert await missed(gateway) == []
    await told_again(ledger, id_, age_s=700)
    assert await numbers(gateway) == ["W-1"]


async def test_what_is_shipped_cancelled_or_refunded_is_not_missed(
    gateway: Gateway, ledger: Database
) -> None:
    for n in range(1, 5):
        await told(gateway, ledger, n)
    await tell(gateway, shipped("W-1"))
    await tell(gateway, closed("cancelled", "W-2"))
    await tell(gateway, refunded(order_no="W-3", transaction_id="T-3"))
    assert await numbers(gateway) == ["W-4"]
    assert await store(gateway).forget_settled([WMS], datetime.now(UTC), 10) == 3


async def test_pushing_tells_the_same_event_again(gateway: Gateway, ledger: Database) -> None:
    await told(gateway, ledger)
    found = await missed(gateway)
    for make in ("none", "pending", "dead"):
        if make != "none":
            await ledger.execute("DELETE FROM deliveries")
            await delivery(ledger, is_dead=make == "dead")
        pushed = await store(gateway).push(found, actor="anna")
        assert pushed == [(found[0].order_id, "wms")], make
        (row,) = await ledger.fetch(
            "SELECT event_id, topic, dead_at, attempts, due_at <= now() AS is_due FROM deliveries"
        )
        attempts = 3 if make == "pending" else 0
        assert tuple(row) == (found[0].event_id, "order.paid", None, attempts, True), make
    # A repeat leaves one delivery, and the row stays until the target has spoken.
    await store(gateway).push(found, actor="anna")
    assert await ledger.fetchval("SELECT count(*) FROM deliveries") == 1
    assert await numbers(gateway) == ["W-1"]
    log = await ledger.fetch("SELECT actor, action, subject FROM audit_log ORDER BY id")
    assert [tuple(row) for row in log] == [("anna", "missed.push", "web/W-1")] * 4
    async with ledger.acquire() as connection:
        assert await audit.first_break(connection) is None


async def test_what_is_being_attempted_or_was_accepted_is_left_alone(
    gateway: Gateway, ledger: Database
) -> None:
    await told(gateway, ledger)
    found = await missed(gateway)
    await delivery(ledger)
    await ledger.execute("UPDATE deliveries SET claimed_by = gen_random_uuid()")
    assert await store(gateway).push(found, actor="anna") == []
    # Its claim is over: whoever had it is gone.
    await ledger.execute("UPDATE deliveries SET due_at = now() - interval '1 second'")
    assert len(await store(gateway).push(found, actor="anna")) == 1
    await tell(gateway, ACCEPTED)
    await ledger.execute("DELETE FROM deliveries")
    assert await store(gateway).push(found, actor="anna") == []
    assert await ledger.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_a_disabled_target_is_told_nothing_and_shown_as_such(
    gateway: Gateway, ledger: Database
) -> None:
    await told(gateway, ledger)
    await ledger.execute(
        "INSERT INTO targets (name, disabled_at, disabled_reason) VALUES ('wms', now(), '410')"
    )
    found = await missed(gateway)
    assert [each.is_disabled for each in found] == [True]
    assert await store(gateway).push(found, actor="anna") == []


async def test_what_waits_for_a_target_that_is_gone_is_forgotten_after_a_day(
    gateway: Gateway, ledger: Database
) -> None:
    await told(gateway, ledger, 1, target="old", age_s=86300)
    await told(gateway, ledger, 2, target="old", age_s=86500)
    assert await store(gateway).forget_settled([WMS], datetime.now(UTC), 10) == 1
    assert await store(gateway).forget_settled([WMS], datetime.now(UTC), 10) == 0
    assert (await counts(ledger))["orders"] == 2


async def test_an_acceptance_before_its_payment_is_known_leaves_nothing_missed(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, ACCEPTED)
    await told(gateway, ledger)
    assert await missed(gateway) == []
    assert (await tell(gateway, paid(), "again")).outcome == "repeat"
