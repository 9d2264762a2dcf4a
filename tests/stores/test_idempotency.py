"""The idempotency table against the real ledger, with Redis and without: the answers are the same.

A step is what is sent and what it is answered; ``n`` makes another order number, ``goods``
another look, ``phone`` too but of the same goods, ``remark`` only another payload.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from gateway.domain import orders
from gateway.domain.placing import Placed
from gateway.runtime.settings import Channel, Settings
from tests.domain.support import submission
from tests.stores.support import Database, gateways, order, rows, submit, with_

HOLD, REPLAY, OFF = "web", "app", "store"
CHANNELS = [Channel(HOLD, "hold"), Channel(REPLAY, "replay"), Channel(OFF, "off")]


class Step(NamedTuple):
    """Send an order and hear an answer; ``same_as`` is the step whose order it names."""

    n: int
    expected: str
    same_as: int | None = None
    request_id: str | None = None
    goods: int = 1
    remark: str = ""
    phone: int = 0
    channel: str = HOLD

    def sent(self) -> orders.Submission:
        """One buyer and one phone; each step names what else differs."""
        item = {"sku": f"G-{self.goods}", "name": "Tea", "quantity": 1, "unit_price": "10"}
        return submission(
            self.n,
            channel=self.channel,
            buyer_id="b",
            items=[item],
            amounts={"goods": "10", "payable": "10", "freight": "0"},
            recipient={"phone": f"1380013800{self.phone}"},
            remark=self.remark,
        )


def described(placed: Placed) -> str:
    return f"{placed.answer} {placed.hold}" if placed.hold else placed.answer


TABLE: dict[str, list[Step]] = {
    "the same request id and payload": [
        Step(1, "placed", request_id="r-1"),
        Step(1, "replayed", 0, request_id="r-1"),
    ],
    "the same request id, another payload": [
        Step(1, "placed", request_id="r-1"),
        Step(1, "key_reused", 0, request_id="r-1", remark="x"),
        Step(2, "key_reused", 0, request_id="r-1", goods=2),
    ],
    "a request id belongs to its channel": [
        Step(1, "placed", request_id="r-1"),
        Step(1, "placed", request_id="r-1", channel=OFF),
    ],
    "the same number and payload": [
        Step(1, "placed"),
        Step(1, "replayed", 0),
        Step(1, "replayed", 0, request_id="r-1"),
    ],
    "the same number and payload, another request id": [
        Step(1, "placed", request_id="r-1"),
        Step(1, "replayed", 0, request_id="r-2"),
        Step(1, "replayed", 0),
    ],
    "the same number, another payload": [
        Step(1, "placed"),
        Step(1, "conflict", 0, remark="x"),
        Step(1, "conflict", 0, request_id="r-1", goods=2),
    ],
    "a number belongs to its channel": [
        Step(1, "placed"),
        Step(1, "placed", channel=OFF, remark="x"),
    ],
    "no request id, the same looks": [
        Step(1, "placed"),
        Step(2, "replayed", 0),
        Step(3, "replayed", 0, remark="x"),
    ],
    "no request id, the same looks, whatever the policy": [
        Step(1, "placed", channel=OFF, request_id="r-1"),
        Step(2, "replayed", 0, channel=OFF),
    ],
    "other goods look otherwise": [Step(1, "placed"), Step(2, "placed", goods=2)],
    "another request id, the same looks, by policy hold": [
        Step(1, "placed", request_id="r-1"),
        Step(2, "placed lookalike", request_id="r-2"),
        Step(2, "replayed lookalike", 1, request_id="r-2"),
        Step(3, "placed lookalike", request_id="r-3"),
        # Who has no request id is taken for the first of them.
        Step(4, "replayed", 0),
    ],
    "another request id, the same looks, by policy replay": [
        Step(1, "placed", request_id="r-1", channel=REPLAY),
        Step(2, "replayed", 0, request_id="r-2", channel=REPLAY),
        Step(2, "replayed", 0, request_id="r-2", channel=REPLAY),
    ],
    "another request id, the same looks, by policy off": [
        Step(1, "placed", request_id="r-1", channel=OFF),
        Step(2, "placed", request_id="r-2", channel=OFF),
        Step(2, "replayed", 1, request_id="r-2", channel=OFF),
    ],
    "a rejected number can still be used rightly": [
        Step(1, "placed", request_id="r-1"),
        Step(2, "key_reused", 0, request_id="r-1", goods=2),
        Step(2, "placed", request_id="r-2", goods=2),
    ],
    "more than three of the same goods": [
        *[Step(n, "placed", request_id=f"r-{n}", channel=OFF) for n in (1, 2, 3)],
        Step(4, "placed suspected_brushing", request_id="r-4", channel=OFF),
        Step(4, "replayed suspected_brushing", 3, request_id="r-4", channel=OFF),
        Step(5, "placed suspected_brushing", request_id="r-5", channel=OFF),
        Step(6, "placed", request_id="r-6", channel=OFF, goods=2),
    ],
    "refused and repeated orders are not counted as orders": [
        Step(1, "placed", request_id="r-1", channel=OFF),
        *[Step(1, "conflict", 0, channel=OFF, remark=str(n)) for n in range(4)],
        *[Step(1, "replayed", 0, request_id="r-1", channel=OFF) for _ in range(4)],
        Step(2, "placed", request_id="r-2", channel=OFF),
    ],
}


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "postgres alone"])
@pytest.mark.parametrize("case", list(TABLE))
async def test_every_row_of_the_table(
    settings: Settings, ledger: Database, case: str, with_redis: bool
) -> None:
    changed = with_(settings, channels=CHANNELS)
    if not with_redis:
        changed = with_(changed, redis_url="")
    async with gateways(changed) as (gateway,):
        answers: list[Placed] = []
        for step in TABLE[case]:
            answers.append(await submit(gateway, step.sent(), step.request_id))
            # Results are cached after the reply: let them arrive.
            await gateway.committer.drain()
    await check(TABLE[case], answers, ledger)


async def test_rejected_orders_of_other_fingerprints_are_not_counted_as_orders(
    settings: Settings, ledger: Database
) -> None:
    steps = [
        Step(1, "placed"),
        *[Step(1, "conflict", 0, phone=n) for n in range(1, 5)],
        Step(2, "placed", phone=5),
    ]
    async with gateways(settings) as (gateway,):
        answers = [await submit(gateway, step.sent()) for step in steps]
    await check(steps, answers, ledger)


async def check(steps: Sequence[Step], answers: Sequence[Placed], ledger: Database) -> None:
    assert [described(answer) for answer in answers] == [step.expected for step in steps]
    stored = set()
    for step, answer in zip(steps, answers, strict=True):
        if step.same_as is None:
            stored.add((answer.id, step.channel, f"lt-{step.n:08d}", answer.hold))
        else:
            assert answer.id == answers[step.same_as].id
    assert set(await rows(ledger, "orders", "id", "channel", "order_no", "hold")) == stored


async def test_a_conflict_shows_the_payload_and_state_of_the_order_in_the_way(
    settings: Settings, ledger: Database
) -> None:
    async with gateways(settings) as (gateway,):
        first = Step(1, "placed")
        placed = await submit(gateway, first.sent())
        await ledger.execute("UPDATE orders SET status = 'paid', version = 2")
        conflict = await submit(gateway, first._replace(remark="x").sent())
    stored = await order(ledger, "lt-00000001")
    assert (conflict.answer, conflict.id, conflict.status, conflict.version) == (
        "conflict",
        placed.id,
        "paid",
        2,
    )
    assert conflict.payload_digest == stored["payload_digest"]


async def test_a_replay_returns_the_original_result_whatever_the_order_is_now(
    settings: Settings, ledger: Database
) -> None:
    async with gateways(with_(settings, redis_url="")) as (gateway,):
        first = Step(1, "placed").sent()
        placed = await submit(gateway, first)
        await ledger.execute("UPDATE orders SET status = 'paid', version = 2, hold = 'lookalike'")
        replayed = await submit(gateway, first)
    assert (replayed.answer, replayed.id) == ("replayed", placed.id)
    assert (replayed.status, replayed.version, replayed.hold) == ("pending_payment", 1, None)
