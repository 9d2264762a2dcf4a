"""The warehouse's book: an event counts once, in whatever order things come."""

from pathlib import Path

import pytest

from ops.warehouse import steps
from ops.warehouse.book import Book, Order
from ops.warehouse.steps import NEXT, Pace

PACE = Pace(accepts_s=1.0, ships_s=4.0, delivers_s=5.0)
ORDER = Order("0190-1", "web", "W-1", "taken")
NOW_S = 1_000_000.0


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book.sqlite3", pace=PACE)


def stages(book: Book) -> dict[str, str]:
    return {order.id: order.stage for order in book.newest(10)}


def work(book: Book, *, now_s: float) -> list[str]:
    """Take every step that is due, as if the gateway took every report; return the reports."""
    reported = []
    while due := book.due(now_s=now_s, limit=10):
        for order in due:
            reported.append(NEXT[order.stage][0])
            book.advance(order, now_s=now_s)
    return reported


def test_a_paid_order_is_accepted_shipped_and_delivered_each_in_its_time(book: Book) -> None:
    assert book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    assert work(book, now_s=NOW_S + 0.9) == []
    assert work(book, now_s=NOW_S + 1.0) == ["order.accepted"]
    assert work(book, now_s=NOW_S + 5.0) == ["order.shipped"]
    assert work(book, now_s=NOW_S + 10.0) == ["order.delivered"]
    assert work(book, now_s=NOW_S + 1e6) == []
    assert stages(book) == {ORDER.id: "delivered"}


def test_a_repeated_event_has_no_effect(book: Book) -> None:
    assert book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    work(book, now_s=NOW_S + 1.0)
    assert not book.record("e1", "order.paid", ORDER, now_s=NOW_S + 2.0)
    assert stages(book) == {ORDER.id: "accepted"}


def test_another_event_that_says_paid_again_does_not_ship_a_second_time(book: Book) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    for later_s in (1.0, 5.0):
        work(book, now_s=NOW_S + later_s)
    assert book.record("e2", "order.paid", ORDER, now_s=NOW_S + 6.0)
    assert stages(book) == {ORDER.id: "shipped"}


@pytest.mark.parametrize("topic", sorted(steps.STOPPING))
def test_an_order_that_is_called_off_does_not_leave(book: Book, topic: str) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    book.record("e2", topic, ORDER, now_s=NOW_S + 0.5)
    assert work(book, now_s=NOW_S + 100.0) == []
    assert stages(book) == {ORDER.id: "stopped"}


def test_what_has_left_is_not_called_back(book: Book) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    for later_s in (1.0, 5.0):
        work(book, now_s=NOW_S + later_s)
    book.record("e2", "order.refunded", ORDER, now_s=NOW_S + 6.0)
    assert work(book, now_s=NOW_S + 100.0) == ["order.delivered"]


def test_an_order_that_is_called_off_while_a_report_is_under_way_stays_called_off(
    book: Book,
) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    (due,) = book.due(now_s=NOW_S + 1.0, limit=10)
    book.record("e2", "order.cancelling", ORDER, now_s=NOW_S + 1.0)
    book.advance(due, now_s=NOW_S + 1.1)
    assert stages(book) == {ORDER.id: "stopped"}


def test_an_order_may_go_on_again_after_it_was_stopped(book: Book) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    book.record("e2", "order.cancelling", ORDER, now_s=NOW_S)
    book.record("e3", "order.paid", ORDER, now_s=NOW_S + 1.0)
    assert work(book, now_s=NOW_S + 2.0) == ["order.accepted"]


@pytest.mark.parametrize("topic", ["order.placed", "order.changed", "order.refunded"])
def test_an_order_that_was_never_paid_is_none_of_its(book: Book, topic: str) -> None:
    assert book.record("e1", topic, ORDER, now_s=NOW_S)
    assert stages(book) == {}


def test_a_report_that_is_not_taken_is_sent_again_later_and_later(book: Book) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    now_s, waits = NOW_S + 1.0, []
    for _ in range(8):
        (due,) = book.due(now_s=now_s, limit=10)
        book.postpone(due, now_s=now_s)
        began_s = now_s
        while not book.due(now_s=now_s, limit=10):
            now_s += 0.5
        waits.append(now_s - began_s)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_restart_continues_where_the_book_stands(tmp_path: Path) -> None:
    file = tmp_path / "book.sqlite3"
    first = Book(file, pace=PACE)
    first.record("e1", "order.paid", ORDER, now_s=NOW_S)
    # Not closed: as after a kill.
    second = Book(file, pace=PACE)
    assert not second.record("e1", "order.paid", ORDER, now_s=NOW_S)
    assert work(second, now_s=NOW_S + 1.0) == ["order.accepted"]


def test_events_are_forgotten_after_a_month(book: Book) -> None:
    book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    book.forget(now_s=NOW_S + 29 * 86400)
    assert not book.record("e1", "order.paid", ORDER, now_s=NOW_S)
    book.forget(now_s=NOW_S + 31 * 86400)
    assert book.record("e1", "order.paid", ORDER, now_s=NOW_S)
