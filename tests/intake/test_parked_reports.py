"""Money that does not match is counted, and logged with the numbers by which a person finds it."""

import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.wiring import Gateway
from tests.domain.support import due, paid, refunded
from tests.stores.support import Database, submit, tell
from tests.support.databases import emptied_database as database  # noqa: F401 - used by its name
from tests.workers.test_sweeper import sweeper


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("tidegate_parked_total", {"reason": reason}) or 0.0


def reports(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Return the reports that were logged: reason, provider, order number, transaction."""
    fields = ("reason", "provider", "order_no", "transaction_id")
    return [
        tuple(getattr(line, name) for name in fields)
        for line in caplog.records
        if line.name == "gateway.intake.parked"
    ]


async def test_what_is_parked_is_logged_with_its_numbers(
    gateway: Gateway, ledger: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid())
    before = counted("refund_exceeds_payment")
    with caplog.at_level(logging.WARNING):
        # It names the transaction alone: the order is found by that.
        event = refunded("100.50", order_no="")
        assert (await tell(gateway, event, "evt_1")).outcome == "parked"
        await tell(gateway, event, "evt_1")
    assert reports(caplog) == [("refund_exceeds_payment", "stripe", "W-1", "T-1")]
    assert counted("refund_exceeds_payment") == before + 1


async def test_what_waited_and_does_not_match_is_logged_when_its_order_comes(
    gateway: Gateway, ledger: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await tell(gateway, paid())
    await tell(gateway, paid(transaction_id="T-2"))
    before = counted("duplicate_payment")
    with caplog.at_level(logging.WARNING):
        placed = await submit(gateway, due(1, order_no="W-1"))
        if placed.has_waiting:
            await gateway.intake.pair(placed)
    assert reports(caplog) == [("duplicate_payment", "stripe", "W-1", "T-2")]
    assert counted("duplicate_payment") == before + 1
    (parked,) = await gateway.maintenance.parked(["adyen", "stripe"])
    assert (parked.reason, parked.provider, parked.rows) == ("duplicate_payment", "stripe", 1)


async def test_an_unknown_order_is_logged_once(
    gateway: Gateway, ledger: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await tell(gateway, paid(order_no="W-404", transaction_id="T-404"))
    before = counted("unknown_order")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await sweeper(gateway, unknown_order_s=0.0).sweep()
    assert reports(caplog) == [("unknown_order", "stripe", "W-404", "T-404")]
    assert counted("unknown_order") == before + 1
