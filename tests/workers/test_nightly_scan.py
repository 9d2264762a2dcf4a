"""The nightly scan finds what does not agree, notes it once, and ends what was settled."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from gateway.domain import events, scanning
from gateway.domain.scanning import ScanReport
from gateway.stores.postgres.scan import ScanStore
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid, refunded
from tests.stores.support import Database, rows, submit, tell
from workers import nightly_scan
from workers.nightly_scan import Interrupted, NightlyScan

TODAY = datetime.now(UTC).date()
NO_STOP = asyncio.Event()


def scan(gateway: Gateway, **changes: Any) -> NightlyScan:
    rules = nightly_scan.rules_of(gateway.settings)
    made = (
        {name: getattr(rules, name) for name in rules.__struct_fields__}
        | {"zone": UTC, "waits_for": timedelta(0)}
        | changes
    )
    return NightlyScan(
        store=ScanStore(readers=gateway.readers, pool=gateway.stores.primary),
        runs=nightly_scan.runs_of(gateway.stores.primary, holder=gateway.new_id()),
        clock=gateway.clock,
        rules=nightly_scan.ScanRules(**made),
    )


async def scanned(gateway: Gateway, day: date = TODAY, **changes: Any) -> ScanReport:
    report = await scan(gateway, **changes).run(day, stopping=NO_STOP, again=True)
    assert report is not None
    return report


async def fed(ledger: Database) -> None:
    """Move the outbox into the change feed, as the relay does; the feed is older than all."""
    await ledger.execute(
        "WITH gone AS (DELETE FROM outbox RETURNING *) "
        "INSERT INTO order_changes (position, order_id, version, topic, event_id, changed_at, "
        "relayed_at) SELECT nextval('order_changes_position'), order_id, version, topic, id, "
        "created_at, now() - interval '1 day' FROM gone"
    )


async def placed_and_paid(gateway: Gateway, n: int = 1) -> UUID:
    placed = await submit(gateway, due(n, order_no=f"W-{n}"))
    await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
    return placed.id


async def findings(ledger: Database) -> list[tuple[str, str, str]]:
    found = await ledger.fetch(
        "SELECT kind, order_no, detail FROM scan_findings WHERE ended_at IS NULL ORDER BY 1, 2"
    )
    return [tuple(row) for row in found]


async def test_a_day_on_which_all_is_well_has_no_findings(
    gateway: Gateway, ledger: Database
) -> None:
    for n in range(3):
        await placed_and_paid(gateway, n)
    await fed(ledger)
    report = await scanned(gateway)
    assert (report.totals.payments, report.totals.orders) == (3, 3)
    assert (report.found, report.new, report.ended, report.examples) == ({}, {}, 0, [])


async def test_a_payment_without_its_order_is_found_with_where_the_order_may_be(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, due(1, order_no="A-1", channel="app"))
    await tell(gateway, paid("12.50", order_no="A-1", transaction_id="T-9"))
    report = await scanned(gateway)
    assert (report.found, report.new) == ({"payment_without_order": 1},) * 2
    assert await findings(ledger) == [
        (
            "payment_without_order",
            "A-1",
            "12.50 CNY by stripe, transaction T-9; an order of this number is in app",
        )
    ]
    # Not at once: it may still find its order.
    await ledger.execute("TRUNCATE scan_findings")
    assert (await scanned(gateway, waits_for=timedelta(minutes=15))).found == {}


async def test_sums_that_differ_are_found_whichever_way(gateway: Gateway, ledger: Database) -> None:
    for n in (1, 2):
        await placed_and_paid(gateway, n)
    await fed(ledger)
    await ledger.execute("UPDATE orders SET paid = 90 WHERE order_no = 'W-1'")
    await ledger.execute("DELETE FROM payments WHERE transaction_id = 'T-2'")
    report = await scanned(gateway)
    assert report.found == {"sum_differs": 2}
    assert [detail for _, _, detail in await findings(ledger)] == [
        "paid 90.00 CNY, by its payments 100.00 CNY",
        "paid 100.00 CNY, by its payments 0.00 CNY",
    ]


async def test_a_paid_order_that_was_never_told_is_found_unless_it_is_held(
    gateway: Gateway, ledger: Database
) -> None:
    for n in (1, 2, 3):
        await placed_and_paid(gateway, n)
    await fed(ledger)
    await ledger.execute(
        "DELETE FROM order_changes WHERE topic = 'order.paid' AND order_id IN "
        "(SELECT id FROM orders WHERE order_no IN ('W-1', 'W-2'))"
    )
    await tell(gateway, events.HeldByPerson("W-2", "looked at", NOW))
    report = await scanned(gateway)
    assert [(each.kind, each.order_no) for each in report.examples] == [("not_handed_on", "W-1")]


async def test_what_waits_to_be_relayed_was_told(gateway: Gateway, ledger: Database) -> None:
    await placed_and_paid(gateway, 1)
    await fed(ledger)
    await placed_and_paid(gateway, 2)
    assert (await scanned(gateway)).found == {}


async def test_orders_from_before_the_change_feed_are_no_findings(
    gateway: Gateway, ledger: Database
) -> None:
    await placed_and_paid(gateway, 1)
    await ledger.execute("DELETE FROM outbox")
    await placed_and_paid(gateway, 2)
    await fed(ledger)
    await ledger.execute("UPDATE order_changes SET relayed_at = now()")
    await ledger.execute(
        "UPDATE orders SET received_at = now() - interval '1 hour' WHERE order_no = 'W-1'"
    )
    assert (await scanned(gateway)).found == {}


async def test_money_that_is_owed_for_too_long_is_found_and_ends_with_its_refund(
    gateway: Gateway, ledger: Database
) -> None:
    await placed_and_paid(gateway)
    second = paid(transaction_id="T-2", occurred_at=NOW - timedelta(days=30))
    await tell(gateway, second)
    await fed(ledger)
    await ledger.execute("UPDATE payments SET paid_at = now() - interval '4 days'")
    report = await scanned(gateway)
    assert report.found == {"double_payment": 1, "refund_overdue": 1}
    assert [detail for _, _, detail in await findings(ledger)] == [
        "paid 200.00 CNY, of which 100.00 CNY is owed",
        "100.00 CNY is owed to the buyer",
    ]
    assert (await scanned(gateway, owed_for=timedelta(days=5))).ended == 1
    await scanned(gateway)
    await tell(gateway, refunded(transaction_id="T-2", occurred_at=datetime.now(UTC)))
    report = await scanned(gateway)
    assert (report.found, report.ended) == ({}, 2)
    assert await findings(ledger) == []


async def test_an_event_that_waits_too_long_is_found(gateway: Gateway, ledger: Database) -> None:
    await tell(gateway, events.Shipped("W-7", "SF", "SF-7", NOW))
    assert (await scanned(gateway)).found == {"waiting_too_long": 1}
    ((_, order_no, detail),) = await findings(ledger)
    assert (order_no, detail[:30]) == ("W-7", "shipped of stripe:main since 2")
    # The night after it is the same one, and no new one.
    report = await scanned(gateway, TODAY + timedelta(days=1))
    assert (report.found, report.new) == ({"waiting_too_long": 1}, {})
    assert await rows_of(ledger) == [(TODAY, TODAY + timedelta(days=1))]
    await submit(gateway, due(7, order_no="W-7"))
    await tell(gateway, paid(order_no="W-7", transaction_id="T-7"))
    await fed(ledger)
    assert (await scanned(gateway)).ended == 1


async def rows_of(ledger: Database) -> list[tuple[date, date]]:
    return [tuple(row) for row in await ledger.fetch("SELECT found_on, seen_on FROM scan_findings")]


async def test_test_orders_are_nobodys_case(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, due(1, order_no="W-1", is_test=True))
    await tell(gateway, paid(), is_test=True)
    await ledger.execute("UPDATE orders SET paid = 1 WHERE is_test")
    assert (await scanned(gateway)).found == {}


async def test_only_the_business_day_and_a_look_back_are_read(
    gateway: Gateway, ledger: Database
) -> None:
    await placed_and_paid(gateway)
    await ledger.execute("UPDATE orders SET paid = 1")
    for days, sees in ((0, 1), (2, 1), (3, 0), (-1, 0)):
        report = await scanned(gateway, TODAY + timedelta(days=days), back=timedelta(days=2))
        assert report.totals.orders == sees, days


async def test_pages_are_as_long_as_they_must_be_and_nothing_is_met_twice(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly_scan, "_PAGE", 2)
    for n in range(5):
        await placed_and_paid(gateway, n)
    await fed(ledger)
    await ledger.execute("UPDATE orders SET paid = 1, hold = 'overpaid'")
    report = await scanned(gateway)
    assert (report.totals.payments, report.totals.orders, report.totals.held) == (5, 5, 5)
    assert (report.found, report.new) == ({"sum_differs": 5},) * 2


async def test_a_day_is_scanned_once_unless_a_person_wants_it_again(
    gateway: Gateway, ledger: Database
) -> None:
    first, second = scan(gateway), scan(gateway)
    reports = await asyncio.gather(
        first.run(TODAY, stopping=NO_STOP), second.run(TODAY, stopping=NO_STOP)
    )
    assert sorted(report is None for report in reports) == [False, True]
    assert await first.run(TODAY, stopping=NO_STOP) is None
    assert await second.run(TODAY, stopping=NO_STOP, again=True) is not None
    assert len(await ledger.fetch("SELECT FROM daily_runs")) == 1


async def test_a_worker_that_stops_gives_the_day_back(gateway: Gateway, ledger: Database) -> None:
    await placed_and_paid(gateway)
    stopping = asyncio.Event()
    stopping.set()
    with pytest.raises(Interrupted, match="is left to another process"):
        await scan(gateway).run(TODAY, stopping=stopping)
    assert await scan(gateway).run(TODAY, stopping=NO_STOP) is not None


async def test_a_worker_that_died_is_followed_by_another_when_its_claim_is_over(
    gateway: Gateway, ledger: Database
) -> None:
    dead = nightly_scan.runs_of(gateway.stores.primary, holder=gateway.new_id())
    assert await dead.claim(TODAY)
    assert await scan(gateway).run(TODAY, stopping=NO_STOP) is None
    await ledger.execute("UPDATE daily_runs SET held_until = now() - interval '1 second'")
    assert await scan(gateway).run(TODAY, stopping=NO_STOP) is not None
    # The first one wakes up and finds that the day is not its own any more.
    assert not await dead.renew(TODAY, {})
    assert not await dead.finish(TODAY, {})


async def test_one_that_is_overtaken_says_so(gateway: Gateway, ledger: Database) -> None:
    await placed_and_paid(gateway)

    class Overtaken(ScanStore):
        async def check_orders(self, *arguments: Any) -> Any:
            await ledger.execute("UPDATE daily_runs SET holder = gen_random_uuid()")
            return await super().check_orders(*arguments)

    scanning_ = scan(gateway)
    scanning_._store = Overtaken(readers=gateway.readers, pool=gateway.stores.primary)
    with pytest.raises(Interrupted, match="was taken over"):
        await scanning_.run(TODAY, stopping=NO_STOP)


async def test_the_report_is_kept(gateway: Gateway, ledger: Database) -> None:
    await placed_and_paid(gateway)
    await fed(ledger)
    await ledger.execute("UPDATE orders SET paid = 1")
    await scanned(gateway)
    (run,) = await nightly_scan.runs_of(gateway.stores.primary, holder=gateway.new_id()).runs()
    assert run.business_day == TODAY
    assert run.finished_at is not None
    assert run.result is not None
    assert run.result["found"] == {"sum_differs": 1}
    assert run.result["examples"][0]["order_no"] == "W-1"


def test_ids_are_ordered_by_the_time_when_they_were_made(gateway: Gateway) -> None:
    now = datetime.now(UTC)
    before, after = scanning.first_id(now), scanning.first_id(now + timedelta(seconds=5))
    assert before <= gateway.new_id() < after


async def test_a_finding_becomes_an_exception_and_ends_with_it(
    gateway: Gateway, ledger: Database
) -> None:
    from workers import supervisor

    await placed_and_paid(gateway)
    await fed(ledger)
    await ledger.execute("UPDATE orders SET paid = 90")
    await scanned(gateway)
    finder: Any = supervisor.tasks(gateway)["exceptions"]
    for _ in range(2):
        await finder.round()
    kept = ("kind", "source", "reason", "order_no", "detail")
    assert await rows(ledger, "exceptions", *kept) == [
        (
            "payment_mismatch", "scan", "sum_differs", "W-1",
            "paid 90.00 CNY, by its payments 100.00 CNY",
        )
    ]  # fmt: skip
    await ledger.execute("UPDATE orders SET paid = 100")
    assert (await scanned(gateway)).ended == 1
    await finder.round()
    assert await ledger.fetchval("SELECT count(*) FROM exceptions WHERE resolved_at IS NULL") == 0
