"""The verifier can fail: each kind of damage to a ledger, and each broken promise, is reported.

A small run of the demo is played once against a real ledger; then it is damaged in a
transaction that is rolled back, or the answers of its history are changed.
"""

import asyncio
import copy
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template

import asyncpg
import pytest

from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from loadtest import stored, verify
from loadtest.demo import plan
from loadtest.demo.drive import drive
from loadtest.history import NO_ANSWER, Answer, CallbackSent, History, OrderSent
from loadtest.stage import Stage
from ops.embedded.cluster import Servers
from tests.support.payers import Payers
from tests.support.site import serve
from workers.sweeper import Sweeper

ONCE = "acknowledged orders stored once, with their id"
STRANGE = "orders stored that nobody may have sent"
PAID = "paid orders paid exactly once"
NOTHING = "payments and paid orders out of nothing"
MISMATCH = "wrong amounts parked, order held, not paid"
REFUNDS = "refunds booked exactly once"
RECORDED = "acknowledged callbacks in the history once"
UNSENT = "events in the history that nobody sent"
FORGED = "forgeries refused with 4xx"
TRACE = "forgeries that left a trace"
KEPT = "messages kept as they arrived, once"
TOLD = "orders that stand as their history says"
PARKED = "parked without being wrong"
WAITING = "events that still wait"
ANSWERS = "answers that nobody should get"
TWICE = "orders answered 201 twice, or refused and stored"
DIFFERENT = "repeats of an order answered differently"


@dataclasses.dataclass
class World:
    """A ledger that is right, and what was sent to it."""

    history: History
    url: str
    forged: CallbackSent


@pytest.fixture(scope="module")
def world(
    servers: Servers, template: str, keyring: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    payers = Payers(tmp_path_factory.mktemp("payers"))
    drawn = plan.draw(60, payers.accounts, seed=1)
    settings = Settings(
        database_url=servers.url_of_database(name),
        keyring_file=str(keyring),
        accounts=payers.settings,
    )

    async def play() -> None:
        admin = await asyncpg.connect(servers.admin_url)
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER tidegate")
        await admin.close()
        async with open_gateway(settings) as gateway, serve(gateway) as site:
            there = Stage(site.url, site.token, settings.database_url, "", tmp)
            await drive(drawn, there, connections=20, say=lambda _: None)
            sweeper = Sweeper(
                upkeep=gateway.upkeep, intake=gateway.intake, sweep_s=1, unknown_order_s=900
            )
            await sweeper.sweep()

    async def drop() -> None:
        admin = await asyncpg.connect(servers.admin_url)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()

    tmp = tmp_path_factory.mktemp("stage")
    asyncio.run(play())
    forged = next(sent for sent in drawn.history.callbacks if sent.is_forged)
    yield World(drawn.history, settings.database_url, forged)
    asyncio.run(drop())


async def failed(world: World, *damage: str) -> set[str]:
    """Return the checks that fail when the ledger is damaged so."""
    words = {
        "order_no": world.forged.order_no,
        "source": world.forged.source,
        "key": world.forged.keys[0],
        "provider": world.forged.provider,
        "transaction": world.forged.transaction_id,
    }
    connection = await asyncpg.connect(world.url)
    attempt = connection.transaction()
    await attempt.start()
    try:
        for statement in damage:
            done = await connection.execute(Template(statement).substitute(words))
            assert not done.endswith(" 0"), "the damage hit nothing"
        found = await stored.read(connection)
    finally:
        await attempt.rollback()
        await connection.close()
    return failing(verify.verify(world.history, found))


def failing(checks: list[verify.Check]) -> set[str]:
    return {check.name for check in checks if not check.ok}


async def test_nothing_is_reported_of_a_ledger_that_is_right(world: World) -> None:
    assert await failed(world) == set()


ONE_PAID = "(SELECT id FROM orders WHERE status = 'paid' AND refunded = 0 ORDER BY id LIMIT 1)"
ONE_HELD = "(SELECT id FROM orders WHERE hold = 'amount_mismatch' ORDER BY id LIMIT 1)"
ONE_REFUND = (
    "(SELECT id FROM orders WHERE refunded > 0 AND refunded < paid / 2 ORDER BY id LIMIT 1)"
)
#: The history refuses changes; whoever damages a ledger on purpose gets past that.
UNGUARDED = "ALTER TABLE order_events DISABLE TRIGGER append_only"


def doubled(table: str, changes: str, which: str) -> str:
    return (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({changes}))).* "
        f"FROM {table} t WHERE {which} LIMIT 1"
    )


DAMAGE: dict[str, tuple[list[str], set[str]]] = {
    "an order is lost": ([f"DELETE FROM orders WHERE id = {ONE_PAID}"], {ONCE, PAID}),
    "an order has another id than was told": (
        [f"UPDATE orders SET id = gen_random_uuid() WHERE id = {ONE_PAID}"],
        {ONCE, PAID, TOLD},
    ),
    "an order is stored twice": (
        [
            "ALTER TABLE orders DROP CONSTRAINT orders_channel_order_no_key",
            doubled("orders", "'id', gen_random_uuid(), 'request_id', null", "true"),
        ],
        {ONCE, STRANGE},
    ),
    "an order is stored that nobody sent": (
        [doubled("orders", "'id', gen_random_uuid(), 'request_id', null, 'order_no', 'x'", "true")],
        {STRANGE},
    ),
    "a payment is lost": (["DELETE FROM payments WHERE standing = 'applied'"], {PAID}),
    "a payment is booked twice": (
        [doubled("payments", "'id', gen_random_uuid(), 'transaction_id', 'tx_x'", "true")],
        {NOTHING},
    ),
    "a payment is added twice to its order": (
        [f"UPDATE orders SET paid = 2 * paid WHERE id = {ONE_PAID}"],
        {PAID},
    ),
    "a payment never reached its order": (
        [f"UPDATE orders SET status = 'pending_payment', paid = 0 WHERE id = {ONE_PAID}"],
        {PAID, TOLD},
    ),
    "an order counts as paid by a forgery": (
        ["UPDATE orders SET status = 'paid', paid = payable WHERE order_no = '$order_no'"],
        {NOTHING},
    ),
    "a forgery is in the history": (
        [
            doubled(
                "order_events",
                "'id', gen_random_uuid(), 'source', '$source', 'source_key', '$key'",
                "outcome = 'applied'",
            )
        ],
        {TRACE, UNSENT},
    ),
    "a forgery is booked as a payment": (
        [
            "UPDATE payments SET transaction_id = '$transaction', provider = '$provider' "
            "WHERE standing = 'mismatch'"
        ],
        {TRACE, NOTHING, MISMATCH},
    ),
    "a mismatch is not parked": (
        [f"DELETE FROM parked WHERE order_id = {ONE_HELD}"],
        {MISMATCH},
    ),
    "a mismatch does not hold its order": (
        [f"UPDATE orders SET hold = NULL WHERE id = {ONE_HELD}"],
        {MISMATCH},
    ),
    "a mismatch pays its order": (
        [f"UPDATE orders SET paid = payable, status = 'paid' WHERE id = {ONE_HELD}"],
        {MISMATCH, NOTHING, TOLD},
    ),
    "something right is parked": (
        [f"UPDATE parked SET order_id = {ONE_PAID} WHERE order_id = {ONE_HELD}"],
        {PARKED, MISMATCH},
    ),
    "a refund is booked twice": (
        [f"UPDATE orders SET refunded = 2 * refunded WHERE id = {ONE_REFUND}"],
        {REFUNDS},
    ),
    "a refund is lost": (
        [
            f"UPDATE payments SET refunded = 0 WHERE order_id = {ONE_REFUND}",
            f"UPDATE orders SET refunded = 0 WHERE id = {ONE_REFUND}",
        ],
        {REFUNDS},
    ),
    "an acknowledged callback is forgotten": (
        [
            UNGUARDED,
            f"DELETE FROM order_events WHERE to_status = 'paid' AND order_id = {ONE_PAID}",
        ],
        {RECORDED, PAID, TOLD, KEPT},
    ),
    "a callback is in the history twice": (
        [
            "ALTER TABLE order_events DROP CONSTRAINT order_events_pkey",
            doubled("order_events", "'id', gen_random_uuid()", "to_status = 'paid' AND source <> 'waiting'"),
        ],
        {RECORDED, PAID, TOLD},
    ),
    "the bytes of a message are lost": (
        [f"DELETE FROM raw_messages WHERE id = {ONE_PAID}"],
        {KEPT},
    ),
    "a change of an order is lost": (
        [f"UPDATE orders SET version = version - 1 WHERE id = {ONE_PAID}"],
        {TOLD},
    ),
    "an order moved without a history": (
        [f"UPDATE orders SET status = 'shipped' WHERE id = {ONE_PAID}"],
        {TOLD},
    ),
    "an event still waits": (
        [
            "INSERT INTO waiting SELECT gen_random_uuid(), 'stripe', 'stripe:main', 'tx', '{web}',"
            " 'x', '{}', 'x', now()"
        ],
        {WAITING},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
async def test_damage_to_the_ledger_is_reported(world: World, kind: str) -> None:
    statements, expected = DAMAGE[kind]
    assert expected <= await failed(world, *statements)


def first_order(history: History) -> OrderSent:
    return next(iter(history.orders.values()))


def told_another_id(history: History) -> None:
    first_order(history).answers.append(Answer(200, is_promise=True, id=str(uuid.uuid4())))


def told_twice_that_it_is_new(history: History) -> None:
    order = first_order(history)
    order.answers.append(next(each for each in order.answers if each.status == 201))


def told_of_an_error(history: History) -> None:
    first_order(history).answers.append(Answer(500))


def got_no_answer(history: History) -> None:
    first_order(history).answers.append(Answer(NO_ANSWER))


def refused_and_stored(history: History) -> None:
    first_order(history).answers[:] = [Answer(422)]


def told_something_else(history: History) -> None:
    order = first_order(history)
    order.answers.append(Answer(200, is_promise=True, id=order.answers[0].id, body=b"{}"))


def took_a_forgery(history: History) -> None:
    next(c for c in history.callbacks if c.is_forged).answers.append(Answer(200, is_promise=True))


def acknowledged_and_lost(history: History) -> None:
    order = first_order(history)
    lost = OrderSent(
        channel=order.channel, order_no="lost", currency="CNY", payable=order.payable,
        answers=[Answer(201, is_promise=True, id=str(uuid.uuid4()))],
    )  # fmt: skip
    history.add_order(lost)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (told_another_id, ONCE),
        (told_twice_that_it_is_new, TWICE),
        (refused_and_stored, TWICE),
        (told_something_else, DIFFERENT),
        (told_of_an_error, ANSWERS),
        (got_no_answer, ANSWERS),
        (took_a_forgery, FORGED),
        (acknowledged_and_lost, ONCE),
    ],
)
async def test_a_broken_promise_is_reported(
    world: World, change: Callable[[History], None], expected: str
) -> None:
    history = copy.deepcopy(world.history)
    change(history)
    found = await stored.read_from(world.url)
    assert expected in failing(verify.verify(history, found))


@pytest.mark.parametrize("is_stored", [True, False])
async def test_what_got_no_answer_may_be_stored_or_not(world: World, is_stored: bool) -> None:
    history = copy.deepcopy(world.history)
    order = next(
        order
        for (_, order_no), order in history.orders.items()
        if not any(sent.is_forged for sent in history.callbacks if sent.order_no == order_no)
    )
    about = [sent for sent in history.callbacks if sent.order_no == order.order_no]
    for answers in (order.answers, *(sent.answers for sent in about)):
        answers[:] = [Answer(NO_ANSWER), Answer(503)]
    found = await stored.read_from(world.url)
    if not is_stored:
        row = next(row for row in found.orders if row.order_no == order.order_no)
        found.orders.remove(row)
        found.payments = [each for each in found.payments if each.order_id != row.id]
        found.events = [each for each in found.events if each.order_id != row.id]
        found.parked = [each for each in found.parked if each.order_id != row.id]
    assert failing(verify.verify(history, found, tolerated={NO_ANSWER, 503})) == set()


def test_a_replica_that_differs_in_one_row_or_one_value_is_reported() -> None:
    primary = {"orders": stored.Contents(2, "aaaaaaaa"), "payments": stored.Contents(1, "cccccccc")}
    assert failing(verify.compare(primary, primary)) == set()
    for there in (stored.Contents(1, "aaaaaaaa"), stored.Contents(2, "bbbbbbbb")):
        checks = verify.compare(primary, {**primary, "orders": there})
        assert failing(checks) == {"replica equals primary: orders"}
