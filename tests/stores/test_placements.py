"""The lane of placements: a batch is stored in one statement, its clashes are judged one by one."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.domain import orders
from gateway.domain.errors import Poisoned
from gateway.domain.placing import Placed, Placement
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.placements import Placements
from gateway.wiring import Gateway
from tests.domain import support
from tests.domain.support import NOW, due, submission
from tests.stores.support import Database, at_once, counts, order, placement, rows, submit

LIKE: dict[str, Any] = {
    "buyer_id": "b",
    "items": [{"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "10"}],
    "amounts": {"goods": "10", "payable": "10", "freight": "0"},
    "recipient": {"phone": "13800138000"},
}


def like(n: int, **changes: Any) -> orders.Submission:
    """Return order ``n``, which looks like every other of these."""
    return submission(n, **{**LIKE, **changes})


@pytest.fixture
def real(gateway: Gateway) -> Ledger:
    stores = gateway.stores
    return Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=False)


def described(answers: "list[Placed] | tuple[Placed, ...]") -> list[str]:
    return [f"{each.answer} {each.hold}" if each.hold else each.answer for each in answers]


async def place(gateway: Gateway, real: Ledger, *sent: Placement) -> list[Placed]:
    answers = [each for each in await real.place(sent) if isinstance(each, Placed)]
    assert len(answers) == len(sent)
    return answers


async def test_an_order_leaves_a_row_in_every_table_that_must_know_of_it(
    gateway: Gateway, ledger: Database
) -> None:
    placed = await submit(gateway, due(1))
    made = await counts(ledger)
    assert {name: n for name, n in made.items() if n} == {
        "orders": 1,
        "order_events": 1,
        "outbox": 1,
        "raw_messages": 1,
    }
    assert await rows(ledger, "outbox", "order_id", "version", "topic") == [
        (placed.id, 1, "order.placed")
    ]
    assert await rows(ledger, "order_events", "order_id", "action", "to_status", "outcome") == [
        (placed.id, "placed", "pending_payment", "applied")
    ]


async def test_the_order_is_stored_as_it_was_sent(gateway: Gateway, ledger: Database) -> None:
    sent = submission(5, is_test=True, attributes={"a": [1, None]}, remark="x")
    placed = await submit(gateway, sent, "r-1")
    stored = await order(ledger, sent.order_no)
    assert (stored["channel"], stored["request_id"], stored["is_test"]) == ("web", "r-1", True)
    assert stored["payable"] == sent.amounts.payable
    assert stored["placed_at"] == sent.placed_at
    items = msgspec.json.decode(stored["items"], type=list[orders.Item])
    assert items == sent.items
    private = gateway.stores.sealer.open("orders.private", placed.id.bytes, stored["private"])
    assert msgspec.json.decode(private, type=orders.Private) == orders.private_part(sent)
    raw = await ledger.fetchval("SELECT body FROM raw_messages")
    opened = gateway.stores.sealer.open("raw_messages.body", placed.id.bytes, raw)
    assert opened == msgspec.json.encode(sent)


async def test_nothing_private_is_stored_in_clear(gateway: Gateway, ledger: Database) -> None:
    secrets = {"name": "CanaryName", "street": "CanaryStreet", "postcode": "CanaryPost"}
    sent = submission(
        1,
        recipient={**secrets, "id_number": "CanaryId", "phone": "13912345678"},
        remark="CanaryRemark",
        attributes={"note": "CanaryNote"},
    )
    await submit(gateway, sent)
    tables = await ledger.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind = 'r'"
    )
    assert len(tables) > 10
    for (table,) in tables:
        for (row,) in await ledger.fetch(f"SELECT t::text FROM {table} t"):
            plain = row + "".join(
                bytes.fromhex(part[:-1] if len(part) % 2 else part).decode("latin-1")
                for part in _hexes(row)
            )
            assert "Canary" not in plain
            assert "3912345678" not in plain


def _hexes(row: str) -> list[str]:
    """Return the bytea columns of a row's text, in hex."""
    return ["".join(c for c in part if c in "0123456789abcdef") for part in row.split("\\x")[1:]]


# --- out of stock ---


def missing(placement: Placement) -> Placement:
    return msgspec.structs.replace(placement, stock="missing")


async def test_what_is_out_of_stock_leaves_no_trace_beside_others_that_are_stored(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    gone, there = missing(placement(gateway, due(1))), placement(gateway, due(2))
    answers = await place(gateway, real, gone, there)
    assert described(answers) == ["out_of_stock", "placed"]
    assert await rows(ledger, "orders", "id") == [(there.id,)]
    assert await ledger.fetchval("SELECT count(*) FROM fingerprints") == 1
    assert await ledger.fetchval("SELECT count(*) FROM velocity") == 1
    # It is taken as new once the goods are there.
    assert described(await place(gateway, real, placement(gateway, due(1)))) == ["placed"]


async def test_a_repeat_of_what_is_out_of_stock_by_now_gets_the_first_answer(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    (first,) = await place(gateway, real, placement(gateway, due(1), "r-1"))
    again = missing(placement(gateway, due(1), "r-1"))
    (answer,) = await place(gateway, real, again)
    assert (answer.answer, answer.id) == ("replayed", first.id)
    changed = missing(placement(gateway, due(1, remark="x")))
    assert described(await place(gateway, real, changed)) == ["conflict"]


async def test_a_double_click_on_the_last_piece_is_the_order_that_has_it(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    (first,) = await place(gateway, real, placement(gateway, like(1)))
    (second,) = await place(gateway, real, missing(placement(gateway, like(2))))
    assert (second.answer, second.id) == ("replayed", first.id)
    # After that it is an order of its own, and there is nothing left.
    await ledger.execute("UPDATE fingerprints SET expires_at = now() + interval '1 second'")
    assert described(await place(gateway, real, missing(placement(gateway, like(3))))) == [
        "out_of_stock"
    ]
    assert (await counts(ledger))["orders"] == 1


async def test_what_looked_like_another_and_is_out_of_stock_is_not_stored_after_all(
    gateway: Gateway, ledger: Database
) -> None:
    """The window ended between the two looks at it."""
    placements = Placements(
        pool=gateway.stores.primary,
        sealer=gateway.stores.sealer,
        new_id=gateway.new_id,
        is_late=False,
        rules=gateway.rules,
    )
    answer = await placements._judge_locked(missing(placement(gateway, like(2))))
    assert answer is not None
    assert answer.answer == "out_of_stock"
    assert (await counts(ledger))["orders"] == 0


# --- clashes inside one batch ---


async def test_the_same_order_twice_in_a_batch_is_stored_once(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    answers = await place(gateway, real, *[placement(gateway, due(1)) for _ in range(3)])
    assert described(answers) == ["placed", "replayed", "replayed"]
    assert await rows(ledger, "orders", "id") == [(answers[0].id,)]
    assert len({answer.id for answer in answers}) == 1


async def test_the_same_number_with_another_payload_in_a_batch_is_a_conflict(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    one, two = placement(gateway, due(1)), placement(gateway, due(1, remark="x"))
    other = placement(gateway, due(2, order_no=due(1).order_no))
    answers = await place(gateway, real, one, two, other)
    assert described(answers) == ["placed", "conflict", "conflict"]
    assert (await counts(ledger))["orders"] == 1


async def test_the_same_request_id_twice_in_a_batch_is_one_order(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    sent = [placement(gateway, due(n), "r-1") for n in (1, 1, 2)]
    assert described(await place(gateway, real, *sent)) == ["placed", "replayed", "key_reused"]
    assert (await counts(ledger))["orders"] == 1


async def test_lookalikes_in_a_batch_are_judged_in_their_order(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    sent = [placement(gateway, like(n), request_id) for n, request_id in LOOKS]
    answers = await place(gateway, real, *sent)
    assert described(answers) == ["placed", "replayed", "placed lookalike", "placed lookalike"]
    assert answers[1].id == answers[0].id
    assert (await counts(ledger))["orders"] == 3


LOOKS = [(1, None), (2, None), (3, "r-3"), (4, "r-4")]


async def test_the_same_goods_in_a_batch_are_counted_one_by_one(
    gateway: Gateway, real: Ledger
) -> None:
    """Every one looks otherwise by its phone; from the fourth on they are held."""
    sent = [placement(gateway, like(n, recipient={"phone": f"1380013800{n}"})) for n in range(1, 7)]
    answers = await place(gateway, real, *sent)
    assert described(answers) == ["placed"] * 3 + ["placed suspected_brushing"] * 3


async def test_clashes_of_all_kinds_beside_plain_orders_in_one_batch(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    plain = [placement(gateway, due(n)) for n in range(100, 200)]
    clashing = [
        placement(gateway, due(100)),
        placement(gateway, due(101, remark="x")),
        placement(gateway, like(1), "r-1"),
        placement(gateway, like(2), "r-2"),
        placement(gateway, due(2), "r-1"),
    ]
    answers = await place(gateway, real, *plain, *clashing)
    assert described(answers) == ["placed"] * 100 + [
        "replayed",
        "conflict",
        "placed",
        "placed lookalike",
        "key_reused",
    ]
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["outbox"], made["raw_messages"]) == (
        102,
        102,
        102,
        102,
    )


async def test_a_batch_sent_again_gets_the_same_ids(gateway: Gateway, real: Ledger) -> None:
    """A batch that timed out may have been committed: repeating it is harmless."""
    sent = [placement(gateway, due(n)) for n in range(50)]
    first, second = await place(gateway, real, *sent), await place(gateway, real, *sent)
    assert described(second) == ["replayed"] * 50
    assert [each.id for each in second] == [each.id for each in first]


async def test_a_bad_row_among_lookalikes_does_not_change_the_others_answers(
    gateway: Gateway, ledger: Database
) -> None:
    """The bad row is only found when it is judged; those stored before it are still answered so."""
    good = placement(gateway, like(1), "r-1")
    bad = support.placement(like(2, recipient={"province": "\0"}), request_id="r-2")
    outcomes = await at_once([gateway.intake.accept_order(each) for each in (good, bad)])
    assert isinstance(outcomes[1], Poisoned)
    assert described(outcomes[:1]) == ["placed"]
    assert await rows(ledger, "orders", "id") == [(good.id,)]


# --- windows ---


async def test_a_look_alike_counts_for_ten_minutes(gateway: Gateway, ledger: Database) -> None:
    await submit(gateway, like(1))
    await ledger.execute("UPDATE fingerprints SET expires_at = now() + interval '1 second'")
    second = await submit(gateway, like(2))
    assert (second.answer, second.hold) == ("placed", "lookalike")
    await ledger.execute("UPDATE fingerprints SET expires_at = now()")
    third = await submit(gateway, like(3))
    assert (third.answer, third.hold) == ("placed", None)
    fourth = await submit(gateway, like(4))
    assert (fourth.answer, fourth.id) == ("replayed", third.id)


async def test_the_look_alike_window_is_ten_minutes_of_the_database_clock(
    gateway: Gateway, ledger: Database
) -> None:
    await submit(gateway, like(1))
    left = await ledger.fetchval("SELECT expires_at - now() FROM fingerprints")
    assert timedelta(minutes=9, seconds=50) < left <= timedelta(minutes=10)


async def test_a_lookalike_held_beside_the_first_does_not_prolong_the_window(
    gateway: Gateway, ledger: Database
) -> None:
    first = await submit(gateway, like(1), "r-1")
    before = await ledger.fetchval("SELECT expires_at FROM fingerprints")
    await submit(gateway, like(2), "r-2")
    assert await rows_of_looks(ledger) == [(first.id, before)]


async def test_a_fingerprint_whose_order_was_never_stored_blocks_no_order(
    gateway: Gateway, ledger: Database
) -> None:
    """A rejected placement may have claimed its fingerprint: the next one is stored anyway."""
    await submit(gateway, due(1), "r-1")
    rejected = await submit(gateway, like(9), "r-1")
    assert rejected.answer == "key_reused"
    assert len(await rows_of_looks(ledger)) == 2
    placed = await submit(gateway, like(2))
    assert (placed.answer, placed.hold) == ("placed", None)
    assert (placed.id in {id_ for id_, _ in await rows_of_looks(ledger)}) is True
    assert (await submit(gateway, like(3))).id == placed.id


async def test_an_order_that_comes_again_after_its_window_is_still_the_same(
    gateway: Gateway, ledger: Database
) -> None:
    """The number is stored for good; the fingerprint that the repeat claimed blocks no order."""
    first = await submit(gateway, like(1), "r-1")
    await ledger.execute("UPDATE fingerprints SET expires_at = now()")
    again = await gateway.committer.place(
        support.placement(like(1), request_id="r-2", received_at=NOW)
    )
    assert (again.answer, again.id) == ("replayed", first.id)
    other = await submit(gateway, like(2), "r-3")
    assert (other.answer, other.hold) == ("placed", None)


async def test_orders_of_the_same_goods_count_for_five_minutes(
    gateway: Gateway, ledger: Database
) -> None:
    sent = [like(n, recipient={"phone": f"1380013800{n}"}) for n in range(8)]
    answers = [await submit(gateway, each) for each in sent[:3]]
    await ledger.execute(
        "UPDATE velocity SET recent = "
        "ARRAY(SELECT at - interval '5 minutes' FROM unnest(recent) at)"
    )
    answers += [await submit(gateway, each) for each in sent[3:]]
    assert described(answers) == ["placed"] * 6 + ["placed suspected_brushing"] * 2


async def rows_of_looks(ledger: Database) -> list[tuple[Any, ...]]:
    found = await ledger.fetch("SELECT order_id, expires_at FROM fingerprints ORDER BY expires_at")
    return [tuple(row) for row in found]
