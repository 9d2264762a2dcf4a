"""A repeat gets the answer of the original, regardless of other events of the order."""

import asyncio
import json

import orjson

from loadtest import orders, sending
from loadtest.history import History
from tests.support.payers import Payers
from tests.support.site import Site


async def test_a_repeat_after_an_early_payment_gets_the_original_answer(
    site: Site, payers: Payers
) -> None:
    account, channel = payers.pick(0)
    history = History()
    order = sending.order(orders.order(0, channel=channel), history)
    payment = sending.payment(order.sent, account, history, amount=order.sent.payable)
    sender = sending.Sender(site.client, token=site.token)
    for message in (payment, order, order):
        answer = await sender.send(message)
        assert answer.is_promise
    first, second = (orjson.loads(answer.body) for answer in order.sent.answers)
    assert first == second
    paid = await site.gateway.stores.primary.fetchval("SELECT status FROM orders")
    assert paid == "paid"


async def test_conflicting_repeats_in_flight_all_get_the_conflict(
    site: Site, order_json: bytes
) -> None:
    await site.submit(order_json)
    other = json.dumps({**json.loads(order_json), "remark": "another"}).encode()
    answers = await asyncio.gather(*(site.submit(other) for _ in range(20)))
    assert [status for status, _ in answers] == [409] * 20
