"""Single refunds under one number: told twice, failed, and made again."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.wiring import Gateway
from tests.domain.support import NOW, paid, refunded
from tests.stores.support import Database, tell
from tests.stores.test_parts import failed, money, placed


@pytest.mark.parametrize("number", ["T-1", "ch_1"])
@pytest.mark.parametrize("again", ["30", "40"])
async def test_a_refund_that_failed_and_is_made_again_is_booked_again(
    number: str, again: str, gateway: Gateway, ledger: Database
) -> None:
    """Under the same refund number, whichever number of its payment the messages have."""
    await placed(gateway)
    await tell(gateway, paid(names=("ch_1",)))
    refund: dict[str, Any] = {"transaction_id": number, "refund_no": "R-1", "cumulative": False}
    await tell(gateway, refunded("30", **refund))
    await tell(gateway, failed("30", transaction_id=number))
    later = NOW + timedelta(hours=2)
    done = await tell(gateway, refunded(again, **refund, occurred_at=later))
    assert done.outcome == "applied"
    assert await money(ledger) == ("paid", None, 100, Decimal(again))
    assert (await tell(gateway, refunded(again, **refund, occurred_at=later))).outcome == "repeat"


@pytest.mark.parametrize("number", ["T-1", "ch_1"])
async def test_a_refund_that_is_told_with_another_amount_later_counts_as_told_last(
    number: str, gateway: Gateway, ledger: Database
) -> None:
    await placed(gateway)
    await tell(gateway, paid(names=("ch_1",)))
    for amount, minute in (("10", 10), ("30", 20)):
        told = refunded(
            amount, transaction_id=number, refund_no="R-1", cumulative=False,
            occurred_at=NOW + timedelta(minutes=minute),
        )  # fmt: skip
        assert (await tell(gateway, told)).outcome == "applied"
    assert await money(ledger) == ("paid", None, 100, 30)
