"""The verifier can fail: each kind of damage to a ledger is reported.

A correct ledger is damaged in a transaction, verified, and rolled back.
"""

from string import Template

import asyncpg
import pytest

from loadtest import ledger_contents, verify
from tests.support.demo_run import DemoRun

ONCE = "acknowledged orders stored once, with their id"
STRANGE = "orders stored that were never sent"
PAID = "payments booked exactly once, and added up"
NOTHING = "payments and paid orders out of nothing"
MISMATCH = "wrong amounts: a surplus held, the rest still due"
REFUNDS = "refunds, failed ones and disputes booked once"
PARCELS = "parcels stored once, and completed with the last"
RECORDED = "acknowledged callbacks in the history once"
UNSENT = "events in the history that were never sent"
TRACE = "forgeries that left a trace"
KEPT = "messages stored as they arrived, once"
STATUS = "orders with the status of their history"
PARKED = "parked without being wrong"
WAITING = "events that still wait"
ALIASES = "aliases of nothing, or of what has that id"


async def failed(world: DemoRun, *damage: str) -> set[str]:
    """Return the checks that fail after these statements."""
    values = {
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
            done = await connection.execute(Template(statement).substitute(values))
            assert not done.endswith(" 0"), "the damage changed no row"
        found = await ledger_contents.read(connection)
    finally:
        await attempt.rollback()
        await connection.close()
    return failing(verify.verify(world.history, found))


async def test_a_message_parked_for_an_expected_reason_is_not_reported(
    world: DemoRun,
) -> None:
    found = await ledger_contents.read_from(world.url)
    found.parked.append(ledger_contents.Parked("placed:web", "x", None, "poison"))
    assert failing(verify.verify(world.history, found)) == {PARKED}
    assert failing(verify.verify(world.history, found, parking={"poison"})) == set()


def failing(checks: list[verify.Check]) -> set[str]:
    return {check.name for check in checks if not check.ok}


async def test_nothing_is_reported_of_a_correct_ledger(world: DemoRun) -> None:
    assert await failed(world) == set()


ONE_PAID = (
    "(SELECT o.id FROM orders o WHERE status = 'paid' AND refunded = 0 AND paid = payable "
    "AND paid > 0 AND hold IS NULL "
    "AND 1 = (SELECT count(*) FROM payments p WHERE p.order_id = o.id) "
    "ORDER BY id LIMIT 1)"
)
ONE_HELD = "(SELECT id FROM orders WHERE hold = 'overpaid' ORDER BY id LIMIT 1)"
ONE_PART = (
    "(SELECT id FROM orders WHERE status = 'pending_payment' AND paid > 0 ORDER BY id LIMIT 1)"
)
ONE_SPLIT = (
    "(SELECT order_id FROM payments GROUP BY order_id HAVING count(*) = 2 ORDER BY 1 LIMIT 1)"
)
ONE_DISPUTED = "(SELECT id FROM orders WHERE hold = 'disputed' ORDER BY id LIMIT 1)"
ONE_REFUND = (
    "(SELECT id FROM orders WHERE refunded > 0 AND refunded < paid / 2 ORDER BY id LIMIT 1)"
)
#: The history rejects changes; a test that damages a ledger disables that.
UNGUARDED = "ALTER TABLE order_events DISABLE TRIGGER append_only"


#: Not events that waited and were recorded again when their order arrived.
DIRECT = "source <> 'waiting'"


def doubled(table: str, changes: str, which: str) -> str:
    return (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({changes}))).* "
        f"FROM {table} t WHERE {which} LIMIT 1"
    )


DAMAGE: dict[str, tuple[list[str], set[str]]] = {
    "an order is lost": ([f"DELETE FROM orders WHERE id = {ONE_PAID}"], {ONCE, PAID}),
    "an order has another id than was returned": (
        [f"UPDATE orders SET id = gen_random_uuid() WHERE id = {ONE_PAID}"],
        {ONCE, PAID, STATUS},
    ),
    "an order is stored twice": (
        [
            "DROP INDEX orders_order_no",
            doubled("orders", "'id', gen_random_uuid(), 'request_id', null", "true"),
        ],
        {ONCE, STRANGE},
    ),
    "an order is stored that was never sent": (
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
        {PAID, STATUS},
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
            f"WHERE order_id = {ONE_HELD}"
        ],
        {TRACE, PAID},
    ),
    "a surplus is not parked": (
        [f"DELETE FROM parked WHERE order_id = {ONE_HELD}"],
        {MISMATCH},
    ),
    "a surplus does not hold its order": (
        [f"UPDATE orders SET hold = NULL WHERE id = {ONE_HELD}"],
        {MISMATCH},
    ),
    "a part pays its order": (
        [f"UPDATE orders SET paid = payable, status = 'paid' WHERE id = {ONE_PART}"],
        {PAID, NOTHING, STATUS},
    ),
    "the second part of two is forgotten": (
        [
            "DELETE FROM payments p USING (SELECT max(id::text) AS last FROM payments "
            f"WHERE order_id = {ONE_SPLIT}) x WHERE p.id::text = x.last"
        ],
        {PAID},
    ),
    "parts do not pay their order": (
        [f"UPDATE orders SET status = 'pending_payment' WHERE id = {ONE_SPLIT}"],
        {PAID, STATUS},
    ),
    "a dispute does not hold its order": (
        [f"UPDATE orders SET hold = NULL WHERE id = {ONE_DISPUTED}"],
        {REFUNDS},
    ),
    "a dispute is lost": (["DELETE FROM disputes"], {REFUNDS}),
    "a failed refund is not shown": (
        ["DELETE FROM parked WHERE reason = 'refund_failed'"],
        {REFUNDS},
    ),
    "a parcel is lost": (
        ["DELETE FROM parcels p USING (SELECT min(id::text) AS one FROM parcels) x "
         "WHERE p.id::text = x.one"],
        {PARCELS},
    ),
    "an order is completed before its last parcel arrived": (
        ["UPDATE parcels SET delivered_at = NULL"],
        {PARCELS},
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
        {RECORDED, PAID, STATUS, KEPT},
    ),
    "a callback is in the history twice": (
        [
            "ALTER TABLE order_events DROP CONSTRAINT order_events_pkey",
            doubled("order_events", "'id', gen_random_uuid()", "to_status = 'paid' AND " + DIRECT),
        ],
        {RECORDED, PAID, STATUS},
    ),
    "the bytes of a message are lost": (
        [f"DELETE FROM raw_messages WHERE id = {ONE_PAID}"],
        {KEPT},
    ),
    "a change of an order is lost": (
        [f"UPDATE orders SET version = version - 1 WHERE id = {ONE_PAID}"],
        {STATUS},
    ),
    "an order moved without a history": (
        [f"UPDATE orders SET status = 'shipped' WHERE id = {ONE_PAID}"],
        {STATUS},
    ),
    "an alias leads nowhere": (
        ["INSERT INTO order_aliases SELECT gen_random_uuid(), gen_random_uuid()"],
        {ALIASES},
    ),
    "an alias is the id of an order": (
        [f"INSERT INTO order_aliases (alias, order_id) SELECT o.id, o.id FROM {ONE_PAID} AS o"],
        {ALIASES},
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
async def test_damage_to_the_ledger_is_reported(world: DemoRun, kind: str) -> None:
    statements, expected = DAMAGE[kind]
    assert expected <= await failed(world, *statements)
