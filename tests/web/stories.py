"""Stories: what a provider tells of one order, and what that comes to in any order of arrival."""

import itertools
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from multidict import CIMultiDict

from gateway.providers.contract import Message
from tests.support.site import Site
from tests.web.support import order

#: Stories of more messages are played in so many orders of arrival, evenly chosen.
ARRIVALS_MAX = 24
_serial = itertools.count(1)


class Story(NamedTuple):
    """What is told of an order of ``payable``, and what it comes to.

    ``tells`` takes a serial, which all its numbers hold, and the order number; it signs messages.
    """

    payable: str
    tells: Callable[[str, str], Sequence[Message]]
    status: str
    paid: str
    refunded: str = "0"
    hold: str | None = None
    parked: tuple[str, ...] = ()


async def check(site: Site, ledger: Any, story: Story, *, path: str, currency: str) -> None:
    """Play a story in every order of arrival, the order itself placed at any point."""
    wanted = (
        story.status,
        story.hold,
        Decimal(story.paid),
        Decimal(story.refunded),
        story.parked,
        0,
    )
    found: dict[tuple[int, ...], tuple[Any, ...]] = {}
    for arrival in _arrivals(len(story.tells("", "")) + 1):
        serial = f"{next(_serial):06d}"
        order_no = f"ST-{serial}"
        tells = story.tells(serial, order_no)
        for at in arrival:
            if at == 0:
                await place(site, order_no, story.payable, currency)
            else:
                await post(site, path, tells[at - 1])
        # What the provider thinks was not received comes again.
        await post(site, path, tells[0])
        found[arrival] = await outcome(ledger, order_no, serial)
    wrong = {arrival: told for arrival, told in found.items() if told != wanted}
    assert not wrong, f"wanted {wanted}, found {wrong}"


def _arrivals(count: int) -> list[tuple[int, ...]]:
    every = list(itertools.permutations(range(count)))
    return every[:: max(1, len(every) // ARRIVALS_MAX)]


async def post(site: Site, path: str, message: Message) -> None:
    """Deliver a message; it must be acknowledged."""
    headers = CIMultiDict({"Content-Type": "application/json"})
    headers.update(message.headers)
    async with site.client.post(path, data=message.body, headers=headers) as answer:
        assert answer.status == 200, (await answer.text(), message.body)


async def place(site: Site, order_no: str, payable: str, currency: str) -> None:
    """Place an order of one item."""
    item = {"sku": f"S-{order_no}", "name": "Tea", "quantity": 1, "unit_price": payable}
    content = order(order_no=order_no, currency=currency, items=[item])
    content["amounts"] = {"goods": payable, "payable": payable}
    status, told = await site.submit(json.dumps(content).encode())
    assert status == 201, told


async def outcome(ledger: Any, order_no: str, serial: str) -> tuple[Any, ...]:
    """Return status, hold, paid, refunded, why something was parked, and how much still waits."""
    row = await ledger.fetchrow(
        """
        SELECT o.status, o.hold, o.paid, o.refunded,
               (SELECT coalesce(array_agg(k.reason ORDER BY k.reason), '{}')
                  FROM parked k WHERE k.order_id = o.id) AS parked,
               (SELECT count(*) FROM waiting w
                 WHERE w.transaction_id LIKE '%' || $2 || '%' OR w.order_no = o.order_no) AS waiting
          FROM orders o WHERE o.order_no = $1
        """,
        order_no,
        serial,
    )
    assert row is not None
    status, hold, paid, refunded, parked, waiting = row
    return status, hold, paid, refunded, tuple(parked), waiting
