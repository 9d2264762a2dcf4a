"""The verifier can fail: each promise of an answer that the ledger breaks is reported."""

import copy
import uuid
from collections.abc import Callable

import pytest

from loadtest import ledger_contents, verify
from loadtest.history import JOURNALED, NO_ANSWER, Answer, History, OrderSent
from tests.support.demo_run import DemoRun

ONCE = "acknowledged orders stored once, with their id"
FORGED = "forgeries refused with 4xx"
ANSWERS = "unexpected answers"
TWICE = "orders answered 201 twice, or refused and stored"
DIFFERENT = "repeats of an order answered differently"


def failing(checks: list[verify.Check]) -> set[str]:
    return {check.name for check in checks if not check.ok}


def first_order(history: History) -> OrderSent:
    return next(iter(history.orders.values()))


def answered_with_another_id(history: History) -> None:
    first_order(history).answers.append(Answer(200, is_promise=True, id=str(uuid.uuid4())))


def answered_201_twice(history: History) -> None:
    order = first_order(history)
    order.answers.append(next(each for each in order.answers if each.status == 201))


def answered_500(history: History) -> None:
    first_order(history).answers.append(Answer(500))


def not_answered(history: History) -> None:
    first_order(history).answers.append(Answer(NO_ANSWER))


def rejected_and_stored(history: History) -> None:
    first_order(history).answers[:] = [Answer(422)]


def answered_with_another_body(history: History) -> None:
    order = first_order(history)
    order.answers.append(Answer(200, is_promise=True, id=order.answers[0].id, body=b"{}"))


def accepted_a_forgery(history: History) -> None:
    next(c for c in history.callbacks if c.is_forged).answers.append(Answer(200, is_promise=True))


def journaled_with_two_bodies(history: History) -> None:
    order = first_order(history)
    for body in (b"{}", b"[]"):
        order.answers.append(journaled(order.answers[0].id, body))


def journaled_with_an_unknown_id(history: History) -> None:
    first_order(history).answers.append(journaled(str(uuid.uuid4())))


def journaled_and_lost(history: History) -> None:
    acknowledged_and_lost(history)
    *_, order = history.orders.values()
    order.answers[:] = [journaled(order.answers[0].id)]


def journaled(id_: str, body: bytes = b"") -> Answer:
    return Answer(JOURNALED, is_promise=True, id=id_, body=body)


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
        (answered_with_another_id, ONCE),
        (answered_201_twice, TWICE),
        (rejected_and_stored, TWICE),
        (answered_with_another_body, DIFFERENT),
        (answered_500, ANSWERS),
        (not_answered, ANSWERS),
        (accepted_a_forgery, FORGED),
        (acknowledged_and_lost, ONCE),
        (journaled_and_lost, ONCE),
        (journaled_with_an_unknown_id, ONCE),
        (journaled_with_an_unknown_id, ANSWERS),
        (journaled_with_two_bodies, DIFFERENT),
    ],
)
async def test_a_broken_promise_is_reported(
    world: DemoRun, change: Callable[[History], None], expected: str
) -> None:
    history = copy.deepcopy(world.history)
    change(history)
    found = await ledger_contents.read_from(world.url)
    assert expected in failing(verify.verify(history, found))


@pytest.mark.parametrize(
    ("status", "broken"), [(JOURNALED, set()), (200, {ONCE, DIFFERENT}), (201, {ONCE, DIFFERENT})]
)
async def test_only_the_id_of_a_journaled_order_may_be_an_alias(
    world: DemoRun, status: int, broken: set[str]
) -> None:
    history = copy.deepcopy(world.history)
    order = first_order(history)
    alias = uuid.uuid4()
    found = await ledger_contents.read_from(world.url)
    found.aliases[alias] = uuid.UUID(order.answers[0].id)
    order.answers.append(Answer(status, is_promise=True, id=str(alias), body=b"journaled"))
    failed = failing(verify.verify(history, found, tolerated={JOURNALED}))
    assert broken <= failed
    assert bool(failed) == bool(broken)


@pytest.mark.parametrize("is_stored", [True, False])
async def test_an_unanswered_message_may_be_stored_or_not(world: DemoRun, is_stored: bool) -> None:
    history = copy.deepcopy(world.history)
    order = next(
        order
        for (_, order_no), order in history.orders.items()
        if not any(sent.is_forged for sent in history.callbacks if sent.order_no == order_no)
    )
    about = [sent for sent in history.callbacks if sent.order_no == order.order_no]
    for answers in (order.answers, *(sent.answers for sent in about)):
        answers[:] = [Answer(NO_ANSWER), Answer(503)]
    found = await ledger_contents.read_from(world.url)
    if not is_stored:
        row = next(row for row in found.orders if row.order_no == order.order_no)
        found.orders.remove(row)
        found.payments = [each for each in found.payments if each.order_id != row.id]
        found.events = [each for each in found.events if each.order_id != row.id]
        found.parked = [each for each in found.parked if each.order_id != row.id]
    assert failing(verify.verify(history, found, tolerated={NO_ANSWER, 503})) == set()


def test_a_replica_that_differs_in_one_row_or_one_value_is_reported() -> None:
    primary = {
        "orders": ledger_contents.TableDigest(2, "aaaaaaaa"),
        "payments": ledger_contents.TableDigest(1, "cccccccc"),
    }
    assert failing(verify.compare(primary, primary)) == set()
    for digest in (
        ledger_contents.TableDigest(1, "aaaaaaaa"),
        ledger_contents.TableDigest(2, "bbbbbbbb"),
    ):
        checks = verify.compare(primary, {**primary, "orders": digest})
        assert failing(checks) == {"replica equals primary: orders"}
