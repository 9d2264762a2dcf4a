"""`tidegate parked`, with the database alone: neither a gateway nor a Redis is there."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.runtime.settings import Account, Settings
from gateway.wiring import Gateway
from loadtest.orders import order
from ops.simulators import standard_webhooks
from ops.simulators.contract import Trade
from tests.ops.conftest import Cli
from tests.stores.support import gateways, with_
from tests.support import site

T = TypeVar("T")
SENDER = standard_webhooks.create()
CONFIG = """
[[accounts]]
provider = "standard_webhooks"
name = "main"
channels = [{channels}]
secrets = ["file:{secret}"]
"""


@pytest.fixture
def shop(settings: Settings, tmp_path: Path, cli: Cli) -> "Shop":
    return Shop(settings, tmp_path, cli)


class Shop:
    """Orders and payments of an account, and the command that mends what went wrong."""

    def __init__(self, settings: Settings, path: Path, cli: Cli) -> None:
        self._path, self._cli = path, cli
        (path / "secret").write_text(SENDER.secrets[0])
        self._settings = with_(settings, redis_url="", journal_url="", replica_urls="")

    def configure(self, *channels: str) -> None:
        listed = ", ".join(f'"{channel}"' for channel in channels)
        text = CONFIG.format(channels=listed, secret=self._path / "secret")
        (self._path / "tidegate.toml").write_text(text)

    def run(self, *arguments: str, code: int = 0) -> str:
        done = self._cli(
            "parked", *arguments, TIDEGATE_REDIS_URL="", TIDEGATE_JOURNAL_URL="",
            TIDEGATE_CONFIG=str(self._path / "tidegate.toml"),
        )  # fmt: skip
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("list", "--json", *arguments))["rows"]
        return found

    def paid_in_another_channel(self, count: int) -> None:
        """Place and pay so many orders, for which the account was configured wrongly."""

        async def happen(gateway: Gateway) -> None:
            async with site.serve(gateway) as served:
                for n in range(1, count + 1):
                    made = order(n, prefix="C")
                    status, _ = await served.submit(json.dumps(made).encode())
                    assert status == 201
                    due = Decimal(made["amounts"]["payable"])
                    trade = Trade(f"C{n}", made["order_no"], due, Decimal(1), "CNY")
                    posted = standard_webhooks.simulator(SENDER).message(
                        "paid", trade, at=datetime.now(UTC)
                    )
                    async with served.client.post(
                        "/v1/callbacks/standard_webhooks/main",
                        data=posted.body,
                        headers=posted.headers,
                    ) as answer:
                        assert answer.status == 200
            await gateway.maintenance.park_overdue_events(-1, count)

        self._in_gateway(happen)

    def statuses(self) -> list[str]:
        async def read(gateway: Gateway) -> list[str]:
            found = await gateway.stores.primary.fetch("SELECT status FROM orders ORDER BY id")
            return [str(status) for (status,) in found]

        return self._in_gateway(read)

    def _in_gateway(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        account = Account("standard_webhooks", "main", ["tmall"], [f"file:{self._path / 'secret'}"])

        async def working() -> T:
            async with gateways(with_(self._settings, accounts=[account])) as (gateway,):
                return await work(gateway)

        return asyncio.run(working())


def test_all_of_a_filter_is_replayed_with_progress(shop: Shop) -> None:
    shop.paid_in_another_channel(5)
    shop.configure("web")
    assert set(shop.statuses()) == {"pending_payment"}
    assert len(shop.rows("--account", "standard_webhooks")) == 5
    dry = shop.run("replay", "--reason", "unknown_order", "--dry-run")
    assert dry.count("unknown_order: applied") == 5
    assert set(shop.statuses()) == {"pending_payment"}
    done = shop.run("replay", "--account", "standard_webhooks", "--per-s", "1000")
    assert done.count("unknown_order: applied") == 5
    assert set(shop.statuses()) == {"paid"}
    assert shop.run("replay", "--all") == ""
    assert shop.rows() == []
    assert len(shop.rows("--state", "resolved")) == 5


def test_what_stays_parked_is_said_and_is_a_failure(shop: Shop) -> None:
    shop.paid_in_another_channel(1)
    shop.configure("tmall")
    assert "unknown_order: waiting" in shop.run("replay", "--all", code=1)
    (row,) = shop.rows()
    assert row["replays"] == 1


def test_show_says_what_to_do_and_masks(shop: Shop) -> None:
    shop.paid_in_another_channel(1)
    shop.configure("web")
    (row,) = shop.rows()
    text = shop.run("show", row["id"])
    assert "what to do:   find the order" in text
    assert "read now as:" in text
    assert f"order_no {row['order_no']}" in text
    full = json.loads(shop.run("show", row["id"], "--full", "--json"))
    assert json.loads(full["message"])["data"]


def test_a_row_is_given_closed_and_opened_again(shop: Shop) -> None:
    shop.paid_in_another_channel(1)
    shop.configure("web")
    (row,) = shop.rows()
    assert "given to finance" in shop.run("assign", row["id"], "finance")
    assert "was so before" in shop.run("assign", row["id"], "finance")
    assert shop.rows("--assignee", "finance")
    assert "closed" in shop.run("resolve", row["id"], "refunded")
    assert "was closed before" in shop.run("resolve", row["id"], "refunded")
    assert "open again" in shop.run("reopen", row["id"], "the wrong one")
    assert shop.rows("--order", row["order_no"])[0]["id"] == row["id"]
    assert shop.rows("--older", "1h") == []
    assert shop.rows("--newer", "1h") != []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("replay",), 2),
        (("replay", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"), 1),
        (("show", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"), 1),
        (("resolve", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10", "done"), 1),
        (("resolve", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10", " "), 2),
        (("list", "--reason", "odd"), 2),
        (("list", "--older", "soon"), 2),
    ],
)
def test_wrong_arguments(shop: Shop, arguments: tuple[str, ...], code: int) -> None:
    shop.configure("web")
    shop.run(*arguments, code=code)
