"""Parts, failed refunds and disputes of every provider that has them, over HTTP into the ledger.

The providers' side is `ops.simulators`. What each provider tells of an order is played in every
order of arrival; each message has its own time, as it happened.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.runtime import settings as configuration
from ops.simulators.contract import Kind
from tests.proof.test_provider_effects import Scenario
from tests.support import simulated
from tests.support.simulated import PROVIDERS
from tests.support.site import Site

#: What is told, and what an order of 199.05 with a part of 0.09 comes to: its status, its hold,
#: what was paid and refunded of whole, part and nothing, and why a person must look.
STORIES: dict[tuple[Kind, ...], tuple[Any, ...]] = {
    ("part_paid",): ("pending_payment", None, "part", "nothing", []),
    ("part_paid", "rest_paid"): ("paid", None, "whole", "nothing", []),
    ("paid", "refund_failed"): ("paid", None, "whole", "nothing", ["refund_failed"]),
    ("paid", "partial_refund", "refund_failed"): (
        "paid", None, "whole", "nothing", ["refund_failed"],
    ),
    ("paid", "dispute_opened"): ("paid", "disputed", "whole", "nothing", []),
    ("paid", "dispute_opened", "dispute_won"): ("paid", None, "whole", "nothing", []),
    ("paid", "dispute_opened", "dispute_lost"): ("refunded", None, "whole", "whole", []),
}  # fmt: skip
#: Of longer stories so many orders of arrival are played, evenly chosen.
ARRIVALS_MAX = 12
CASES = [
    pytest.param(name, story, id=f"{name}: {' '.join(story)}")
    for name, module in PROVIDERS.items()
    for story in STORIES
    if module.KINDS.issuperset(story)
]


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    return simulated.configured(tmp_path)


@pytest.mark.parametrize(("name", "story"), CASES)
async def test_money_comes_to_the_same_in_any_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str, story: Sequence[Kind]
) -> None:
    status, hold, paid, refunded, parked = STORIES[tuple(story)]
    every = list(itertools.permutations([*story, None]))
    for arrival in every[:: 1 + len(every) // ARRIVALS_MAX]:
        scenario = Scenario(site, name, PROVIDERS[name].CURRENCIES[0])
        trade = scenario.trade
        amounts = {"whole": trade.amount, "part": trade.refunded, "nothing": 0}
        for kind in arrival:
            if kind is None:
                await scenario.place()
            else:
                await scenario.post(kind, after_s=story.index(kind))
        assert await scenario.stored(ledger) == {
            "status": status,
            "currency": trade.currency,
            "paid": amounts[paid],
            "refunded": amounts[refunded],
            "hold": hold,
        }, arrival
        reasons = await ledger.fetch(
            """
            SELECT p.reason FROM parked p JOIN orders o ON o.id = p.order_id
             WHERE o.order_no = $1
            """,
            trade.order_no,
        )
        assert [row["reason"] for row in reasons] == parked, arrival
        assert await ledger.fetchval("SELECT count(*) FROM waiting") == 0, arrival


def test_every_provider_with_disputes_or_parts_is_tried() -> None:
    """Those that are known to have them have not lost them."""
    tried = {case.values[0] for case in CASES}
    assert tried >= {"adyen", "paypal", "standard_webhooks"}
