"""kill -9 in the middle of a replay of many: run again, each is booked once."""

import json
import time
from decimal import Decimal

from gateway.runtime.settings import Account, Settings
from gateway.wiring import open_gateway
from tests.domain.support import due, paid
from tests.stores.support import reported, submit, with_
from tests.support.patience import HANG_S, until
from tests.support.processes import Processes

ROWS = 240
PER_S = 120


async def test_a_replay_that_is_killed_goes_on_and_each_payment_counts_once(
    processes: Processes, settings: Settings, accounts: list[Account]
) -> None:
    """What waits for another channel than its order's is of an account that was mended since."""
    account = next(each for each in accounts if each.provider == "standard_webhooks")
    channel = account.channels[0]
    async with open_gateway(with_(settings, redis_url="", replica_urls="")) as gateway:
        ledger = gateway.stores.primary
        for n in range(ROWS):
            await submit(gateway, due(n + 1, order_no=f"K-{n}", channel=channel))
            body = {
                "type": "payment.succeeded",
                "timestamp": "2026-11-23T02:00:00Z",
                "data": {
                    "transaction_id": f"T-{n}", "order_no": f"K-{n}", "amount": "100.00",
                    "currency": "CNY",
                },
            }  # fmt: skip
            event = paid("100", order_no=f"K-{n}", transaction_id=f"T-{n}")
            await gateway.intake.accept_event(
                reported(
                    gateway,
                    event,
                    f"msg_{n}",
                    source=f"{account.provider}:{account.name}",
                    provider=account.provider,
                    channels=("elsewhere",),
                    raw=json.dumps(body).encode(),
                )
            )
        assert len(await gateway.maintenance.park_overdue_events(-1, ROWS)) == ROWS

        async def left() -> int:
            query = "SELECT count(*) FROM parked WHERE resolved_at IS NULL"
            return int(await ledger.fetchval(query))

        async def has_begun() -> bool:
            return await left() < ROWS - PER_S // 2

        command = ("parked", "replay", "--all", "--per-s", str(PER_S))
        running = processes.start(*command)
        await until(has_begun)
        running.kill()
        running.wait()
        assert 0 < await left() < ROWS, "it was killed before its end"
        for _ in range(2):
            began_s = time.monotonic()
            again = processes.start(*command)
            assert again.wait(HANG_S) == 0, f"after {time.monotonic() - began_s:.0f} s"
        assert await left() == 0
        booked = await ledger.fetchrow(
            """
            SELECT count(*) AS orders, sum(paid) AS paid, min(version) AS least,
                   max(version) AS most,
                   (SELECT count(*) FROM order_events
                     WHERE action = 'payment_succeeded' AND outcome = 'applied') AS applied,
                   (SELECT count(*) FROM payments WHERE standing = 'applied') AS payments
              FROM orders WHERE status = 'paid'
            """
        )
        assert booked is not None
        assert tuple(booked) == (ROWS, Decimal(100 * ROWS), 2, 2, ROWS, ROWS)
