"""Remarks on the real ledger: what an edit leaves in which table, beside rivals and outages."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.following import Done
from gateway.domain.orders import Private
from gateway.domain.remarks import Edited, RemarkChange
from gateway.runtime.settings import Settings
from gateway.stores.postgres import followups
from gateway.stores.postgres.aliases import Aliases
from gateway.stores.postgres.remarks import Remarks
from gateway.wiring import Gateway
from tests.domain.support import due, paid, shipped
from tests.stores.support import (
    TABLES,
    Database,
    alone,
    at_once,
    counts,
    gateways,
    order,
    rows,
    submit,
    tell,
    with_,
)
from tests.stores.test_rivals import deadlocks
from tests.support.cable import cable_to
from tests.support.patience import HANG_S, until

CANARY = "pfeift leise im Korb"
HISTORY = ("action", "from_status", "to_status", "outcome", "source", "trigger", "detail")
COMMIT_S = 1.0


async def placed(gateway: Gateway, order_no: str = "W-1", **changes: Any) -> UUID:
    """Store an order over 100.00 and return its id."""
    return (await submit(gateway, due(1, order_no=order_no, **changes))).id


async def change(
    gateway: Gateway,
    order_id: UUID,
    remark: str | None,
    *,
    version: int | None = None,
    channels: list[str] | None = None,
    is_test: bool | None = None,
) -> Edited | None:
    """Change a remark through the one way in."""
    return await gateway.remarks.change(
        order_id,
        RemarkChange(remark),
        channels=channels,
        is_test=is_test,
        version=version,
        raw=msgspec.json.encode({"remark": remark}),
        trigger="key:k1",
    )


async def private(gateway: Gateway, ledger: Database, order_no: str = "W-1") -> Private:
    """Return what is sealed of the stored order."""
    stored = await order(ledger, order_no)
    opened = gateway.stores.sealer.open("orders.private", stored["id"].bytes, stored["private"])
    return msgspec.json.decode(opened, type=Private)


@pytest.fixture
async def rivals(settings: Settings) -> AsyncIterator[list[Gateway]]:
    """Two gateways that know nothing of each other."""
    async with gateways(alone(settings), alone(settings)) as opened:
        yield opened


async def is_waiting(ledger: Database) -> bool:
    """Say whether a transaction waits for a row that another one has locked."""
    found = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(await ledger.fetchval(found))


# --- what is written ---


async def test_an_edit_is_a_version_a_line_of_history_a_message_and_a_row_for_others(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await placed(gateway, remark="leave it at the door", attributes={"gift": 1})
    before, was = await order(ledger), await private(gateway, ledger)
    edited = await change(gateway, id_, "ring twice", version=1)
    assert edited == Edited("changed", id_, "web", "W-1", "pending_payment", 2, None)
    after = await order(ledger)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"private", "version", "updated_at"}
    assert (after["version"], after["updated_at"] > before["updated_at"]) == (2, True)
    assert await private(gateway, ledger) == msgspec.structs.replace(was, remark="ring twice")
    assert (await rows(ledger, "order_events", *HISTORY))[1:] == [
        (
            "remark_changed", "pending_payment", "pending_payment", "applied", "remark:web",
            "key:k1", None,
        )
    ]  # fmt: skip
    outbox = await rows(ledger, "outbox", "topic", "order_id", "version", "priority")
    assert outbox == [("order.placed", id_, 1, 5), ("order.remark_changed", id_, 2, 5)]
    ((event_id, key),) = (await rows(ledger, "order_events", "id", "source_key"))[1:]
    assert key == f"{id_}:2"
    kept = await ledger.fetchval("SELECT body FROM raw_messages WHERE id = $1", event_id)
    opened = gateway.stores.sealer.open("raw_messages.body", event_id.bytes, kept)
    assert opened == b'{"remark":"ring twice"}'


async def test_the_same_again_writes_nothing(gateway: Gateway, ledger: Database) -> None:
    id_ = await placed(gateway)
    for text in ("a", None, "", "b"):
        first = await change(gateway, id_, text)
        assert first is not None
        before, stored = await counts(ledger), await order(ledger)
        for version in (None, first.version, 1):
            again = await change(gateway, id_, text, version=version)
            assert again == msgspec.structs.replace(first, answer="same")
        assert (await counts(ledger), await order(ledger)) == (before, stored)
    assert (await order(ledger))["version"] == 5


async def test_another_version_than_the_named_one_is_left_as_it_is(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await placed(gateway)
    await tell(gateway, paid())
    before, stored = await counts(ledger), await order(ledger)
    for version in (1, 3, 9_999_999_999):
        edited = await change(gateway, id_, "late", version=version)
        assert edited == Edited("version_changed", id_, "web", "W-1", "paid", 2, None)
    assert (await counts(ledger), await order(ledger)) == (before, stored)


async def test_an_order_is_found_by_its_alias_and_only_in_its_channels(
    gateway: Gateway, ledger: Database
) -> None:
    id_, alias = await placed(gateway), gateway.new_id()
    assert await change(gateway, alias, "a") is None
    await Aliases(pool=gateway.stores.primary).add([(alias, id_)])
    for known in (id_, alias):
        assert await change(gateway, known, "a", channels=["app"]) is None
    assert (await order(ledger))["version"] == 1
    edited = await change(gateway, alias, "a", channels=["app", "web"])
    assert edited is not None
    assert (edited.id, edited.version) == (id_, 2)


async def test_an_order_may_be_edited_all_its_life(gateway: Gateway, ledger: Database) -> None:
    id_ = await placed(gateway)
    for n, event in enumerate((None, paid(), shipped())):
        if event is not None:
            await tell(gateway, event)
        edited = await change(gateway, id_, f"note {n}")
        assert edited is not None
        assert edited.answer == "changed"
    assert (await order(ledger))["version"] == 6
    steps = [action for (action,) in await rows(ledger, "order_events", "action")]
    assert steps == [
        "placed", "remark_changed", "payment_succeeded", "remark_changed", "shipped",
        "remark_changed",
    ]  # fmt: skip


async def test_the_text_is_nowhere_in_clear(gateway: Gateway, ledger: Database) -> None:
    id_ = await placed(gateway, buyer_id="control", remark=CANARY)
    await change(gateway, id_, CANARY + "!")
    await change(gateway, id_, None)
    stored = [
        str(row[0])
        for table in TABLES
        for row in await ledger.fetch(f"SELECT t::text FROM {table} t")
    ]
    everything = "\n".join(stored)
    assert "control" in everything
    assert everything.count("remark_changed") == 4
    # Bytes read as hexadecimal.
    assert CANARY not in everything
    assert CANARY.encode().hex() not in everything


# --- beside others ---


async def test_two_edits_of_one_version_have_one_winner(
    rivals: list[Gateway], ledger: Database
) -> None:
    id_ = await placed(rivals[0])
    for version in range(1, 11):
        outcomes = await at_once(
            [change(rivals[n], id_, f"{version} by {n}", version=version) for n in range(2)]
        )
        assert sorted(each.answer for each in outcomes) == ["changed", "version_changed"]
        assert {each.version for each in outcomes} == {version + 1}
        (winner,) = [n for n in range(2) if outcomes[n].answer == "changed"]
        assert (await private(rivals[0], ledger)).remark == f"{version} by {winner}"
    assert (await counts(ledger))["order_events"] == 11


async def test_edits_without_a_version_are_all_made(
    rivals: list[Gateway], ledger: Database
) -> None:
    id_ = await placed(rivals[0])
    outcomes = await at_once([change(rivals[n % 2], id_, f"{n}") for n in range(40)])
    assert Counter(each.answer for each in outcomes) == {"changed": 40}
    assert sorted(each.version for each in outcomes) == list(range(2, 42))
    (last,) = [n for n in range(40) if outcomes[n].version == 41]
    assert (await private(rivals[0], ledger)).remark == str(last)


def once(
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    happening: Callable[[], Awaitable[Any]],
) -> None:
    """Let something happen before the next call of ``name``, and before no later one."""
    real = getattr(owner, name)

    async def first_let_happen(*arguments: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        await happening()
        return await real(*arguments)

    monkeypatch.setattr(owner, name, first_let_happen)


async def test_an_edit_in_the_middle_of_a_payment_waits_for_it(
    rivals: list[Gateway], ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await placed(rivals[0])
    editing: list[asyncio.Task[Edited | None]] = []

    async def edit() -> None:
        editing.append(asyncio.create_task(change(rivals[1], id_, "new")))
        await until(lambda: is_waiting(ledger))

    once(monkeypatch, followups, "_read_context", edit)
    done = await tell(rivals[0], paid())
    assert (done.outcome, done.version) == ("applied", 2)
    assert await editing[0] == Edited("changed", id_, "web", "W-1", "paid", 3, None)
    stored = await order(ledger)
    assert (stored["status"], stored["paid"], stored["version"]) == ("paid", 100, 3)
    assert (await private(rivals[0], ledger)).remark == "new"
    steps = await rows(ledger, "order_events", "action", "from_status", "to_status")
    assert steps[1:] == [
        ("payment_succeeded", "pending_payment", "paid"), ("remark_changed", "paid", "paid")
    ]  # fmt: skip


async def test_a_payment_in_the_middle_of_an_edit_waits_for_it(
    rivals: list[Gateway], ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await placed(rivals[0])
    paying: list[asyncio.Task[Done]] = []

    async def pay() -> None:
        paying.append(asyncio.create_task(tell(rivals[1], paid())))
        await until(lambda: is_waiting(ledger))

    real = Remarks._write

    async def first_pay(*arguments: Any) -> None:
        await pay()
        await real(*arguments)

    monkeypatch.setattr(Remarks, "_write", first_pay)
    edited = await change(rivals[0], id_, "new", version=1)
    assert edited == Edited("changed", id_, "web", "W-1", "pending_payment", 2, None)
    done = await paying[0]
    assert (done.outcome, done.version) == ("applied", 3)
    stored = await order(ledger)
    assert (stored["status"], stored["paid"], stored["version"]) == ("paid", 100, 3)
    assert (await private(rivals[0], ledger)).remark == "new"


async def test_a_storm_of_edits_and_events_loses_neither_and_does_not_deadlock(
    rivals: list[Gateway], ledger: Database
) -> None:
    before = await deadlocks(rivals, ledger)
    numbers = [f"W-{n}" for n in range(10)]
    ids = [(await submit(rivals[0], due(n, order_no=no))).id for n, no in enumerate(numbers)]
    sent: list[Awaitable[Any]] = []
    for n, no in enumerate(numbers):
        befalling = (paid(order_no=no, transaction_id=f"T-{no}"), shipped(no))
        for turn in range(3):
            sent.append(change(rivals[turn % 2], ids[n], f"{no} {turn}"))
            # The same events through both: one of them is a repeat.
            sent += [tell(rivals[turn % 2], event, f"{no}/{event!r}") for event in befalling]
    outcomes = await at_once(sent)
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    assert await deadlocks(rivals, ledger) == before
    ends = await rows(ledger, "orders", "status", "paid", "version")
    # Placed, paid, shipped, and three edits: none was written over.
    assert Counter(ends) == {("shipped", 100, 6): 10}
    for no in numbers:
        remark = (await private(rivals[0], ledger, no)).remark
        assert remark is not None
        assert remark.startswith(f"{no} ")
    outbox = await rows(ledger, "outbox", "order_id", "version")
    assert len(outbox) == len(set(outbox)) == 60


# --- without a database that answers ---


async def test_contention_is_tried_again(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the history that is there already, as though another had just written it."""
    id_ = await placed(gateway)
    await ledger.execute(
        "INSERT INTO order_events SELECT id, order_id, 'remark:web', $1, action, from_status,"
        " to_status, outcome, reason, detail, trigger, occurred_at, received_at FROM order_events",
        f"{id_}:2",
    )
    before = await counts(ledger)
    with pytest.raises(Unavailable, match="contention"):
        await change(gateway, id_, "a")
    assert await counts(ledger) == before
    await ledger.execute("UPDATE orders SET version = 2")
    tried = Remarks._change_locked
    calls: list[int] = []

    async def counted(*arguments: Any) -> Edited | None:
        calls.append(1)
        if len(calls) == 1:
            await ledger.execute("UPDATE orders SET version = 1")
        elif len(calls) == 2:
            await ledger.execute("UPDATE orders SET version = 2")
        return await tried(*arguments)

    monkeypatch.setattr(Remarks, "_change_locked", counted)
    edited = await change(gateway, id_, "a")
    assert edited is not None
    assert (edited.answer, edited.version, len(calls)) == ("changed", 3, 2)


@pytest.mark.parametrize("fault", ["cut", "silence"])
async def test_without_postgres_an_edit_is_rejected_in_time_and_not_journaled(
    settings: Settings, ledger: Database, fault: str
) -> None:
    async with cable_to(settings.database_url) as cable:
        # What is rejected here would be journaled if it were an order.
        changed = with_(
            settings, database_url=cable.url, commit_s=COMMIT_S, journal_after_s=0.3,
            replica_urls="",
        )  # fmt: skip
        async with gateways(changed) as (gateway,):
            id_ = await placed(gateway)
            getattr(cable, fault)()
            # One after the other they would take longer than that.
            edits = [change(gateway, id_, f"{n}") for n in range(int(2 * HANG_S / COMMIT_S))]
            async with asyncio.timeout(HANG_S):
                outcomes = await at_once(edits)
            assert {type(each) for each in outcomes} == {Unavailable}
            assert gateway.stores.journal_streams is not None
            assert (await gateway.stores.journal_streams.depth()).entries == 0
            cable.mend()

            async def is_back() -> bool:
                try:
                    return await change(gateway, id_, "back") is not None
                except Unavailable:
                    return False

            await until(is_back)
    assert (await private(gateway, ledger)).remark == "back"


async def test_an_edit_of_many_slow_steps_times_out_as_a_whole(
    settings: Settings, ledger: Database
) -> None:
    """No step takes as long as an edit may, and all of them together take longer."""
    async with cable_to(settings.database_url) as cable:
        changed = with_(
            settings, database_url=cable.url, commit_s=COMMIT_S, journal_after_s=0.3,
            replica_urls="",
        )  # fmt: skip
        async with gateways(changed) as (gateway,):
            id_ = await placed(gateway)
            cable.slow(0.2)
            with pytest.raises(Unavailable):
                await change(gateway, id_, "a")
            cable.mend()
            assert await change(gateway, id_, "b") is not None
    assert (await order(ledger))["version"] == 2


async def test_an_edit_of_a_locked_order_times_out(settings: Settings, ledger: Database) -> None:
    async with gateways(with_(settings, commit_s=COMMIT_S, journal_after_s=0.3)) as (gateway,):
        id_, other = await placed(gateway), (await submit(gateway, due(2, order_no="W-2"))).id
        async with ledger.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", id_)
            async with asyncio.timeout(HANG_S):
                with pytest.raises(Unavailable):
                    await change(gateway, id_, "a")
            # Nobody else has to wait for it, and neither have orders.
            assert await change(gateway, other, "a") is not None
        edited = await change(gateway, id_, "a", version=1)
        assert edited is not None
        assert edited.answer == "changed"


async def test_a_commit_whose_answer_was_lost_is_found_by_its_repeat(
    settings: Settings, ledger: Database
) -> None:
    async with cable_to(settings.database_url) as cable:
        changed = with_(
            settings, database_url=cable.url, commit_s=COMMIT_S, journal_after_s=0.3,
            replica_urls="",
        )  # fmt: skip
        async with gateways(changed) as (gateway,):
            id_ = await placed(gateway)
            real = Remarks._write

            async def then_lose(*arguments: Any) -> None:
                await real(*arguments)
                cable.lose_answers()

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(Remarks, "_write", then_lose)
                with pytest.raises(Unavailable):
                    await change(gateway, id_, "once", version=1)
            cable.cut()
    async with gateways(settings) as (gateway,):
        again = await change(gateway, id_, "once", version=1)
        assert again == Edited("same", id_, "web", "W-1", "pending_payment", 2, None)
    assert (await counts(ledger))["order_events"] == 2
