"""What is stored of rejected callbacks is bounded, and never waits for the store."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gateway.domain.errors import Rejected
from gateway.domain.rejected_callbacks import RejectedCallback
from gateway.intake.rejected_callbacks import RejectedCallbackRecorder
from gateway.runtime.ids import UUIDv7
from gateway.stores.postgres.errors import BadRow
from tests.support.fakes.rejected_callbacks import FakeRejectedCallbacks
from tests.support.limits import limits

AT = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


def refusals(store: FakeRejectedCallbacks, minute_max: int = 3) -> RejectedCallbackRecorder:
    return RejectedCallbackRecorder(
        store=store, new_id=UUIDv7(), limits=limits(refused_minute_max=minute_max)
    )


def record(
    kept: RejectedCallbackRecorder,
    reason: str = "stale",
    account: str = "main",
    at: datetime = AT,
    body: bytes = b"",
) -> None:
    rejected = Rejected(reason, "a wrong clock")
    kept.record("stripe", account, rejected, headers=[("A", "b")], body=body, at=at)


async def test_so_many_a_minute_of_each_account_and_reason() -> None:
    store = FakeRejectedCallbacks()
    kept = refusals(store)
    for _ in range(9):
        record(kept, "stale")
        record(kept, "bad_signature")
        record(kept, "stale", account="other")
    await kept.write()
    assert len(store.rows) == 9
    record(kept, at=AT + timedelta(seconds=29))
    await kept.write()
    assert len(store.rows) == 9
    record(kept, at=AT + timedelta(seconds=30))
    await kept.write()
    assert len(store.rows) == 10


async def test_what_can_not_be_written_waits_within_a_bound() -> None:
    store = FakeRejectedCallbacks()
    store.is_away = True
    kept = refusals(store, minute_max=1000)
    for n in range(300):
        record(kept, body=b"%d" % n)
    await kept.write()
    assert store.rows == []
    store.is_away = False
    await kept.write()
    await kept.write()
    assert [row.body for row in store.rows] == [b"%d" % n for n in range(200)]


async def test_headers_are_cut_to_a_bound() -> None:
    store = FakeRejectedCallbacks()
    kept = refusals(store)
    headers = [(f"X-{n}", "v" * 5000) for n in range(500)]
    kept.record("stripe", "main", Rejected("stale", ""), headers=headers, body=b"", at=AT)
    await kept.write()
    (row,) = store.rows
    assert len(row.headers) == 64
    assert {len(value) for _, value in row.headers} == {2048}


class Picky(FakeRejectedCallbacks):
    """Fails as a whole for the sake of one."""

    async def add(self, rows: Sequence[RejectedCallback]) -> None:
        if any(row.body == b"bad" for row in rows):
            raise BadRow("Data [22000]")
        await super().add(rows)


async def test_one_that_can_not_be_stored_takes_neither_the_others_nor_the_task() -> None:
    store = Picky()
    kept = refusals(store)
    for body in (b"one", b"bad", b"two"):
        record(kept, body=body)
    stopping = asyncio.Event()
    stopping.set()
    await kept.run(stopping)
    assert [row.body for row in store.rows] == [b"one", b"two"]
    await kept.write()
    assert len(store.rows) == 2


async def test_bytes_that_are_no_text_are_spelt_out() -> None:
    store = FakeRejectedCallbacks()
    kept = refusals(store)
    headers = [("X-\udcff", "a\udce4\x00b" * 2000)]
    kept.record("stripe", "main", Rejected("stale", "h\udcff"), headers=headers, body=b"", at=AT)
    await kept.write()
    ((name, value),) = store.rows[0].headers
    assert (name, value[:14], len(value)) == ("X-\\udcff", "a\\udce4\\x00ba\\"[:14], 2048)
    assert store.rows[0].hint == "h\\udcff"


async def test_a_stop_writes_what_is_left() -> None:
    store = FakeRejectedCallbacks()
    kept = refusals(store)
    record(kept)
    stopping = asyncio.Event()
    stopping.set()
    running = asyncio.create_task(kept.run(stopping))
    await running
    # Stopped before it began: nothing was taken since, but what waited is written.
    assert len(store.rows) == 1


def test_it_shows_nothing_of_the_message() -> None:
    row = RejectedCallback(
        UUIDv7()(), "stripe", "main", "stale", "", AT, [("A", "secret")], b"secret"
    )
    assert "secret" not in repr(row)
