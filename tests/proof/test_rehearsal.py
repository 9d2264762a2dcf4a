"""The Locust scenarios, against a gateway: orders are placed, and simulated providers pay them."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from gateway.runtime import settings as configuration
from ops.simulators import keys, kuaidi100, wechatpay
from tests.support.patience import HANG_S
from tests.support.site import Site

ACCOUNT = wechatpay.create()
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    path = tmp_path / "wechatpay.json"
    keys.save(path, ACCOUNT)
    secrets = [f"file:{file}" for file in keys.secret_files(path, ACCOUNT)]
    options = dict(ACCOUNT.options)
    # The orders of a rehearsal are test orders, so the account that pays them is one for tests.
    return [configuration.Account("wechatpay", "main", ["web"], secrets, options, is_test=True)]


async def locust(site: Site, *arguments: str) -> tuple[int, str]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "locust", "-f", str(_ROOT / "loadtest" / "locustfile.py"),
        "--headless", "--only-summary", *arguments,
        cwd=_ROOT,
        env={
            **os.environ,
            "TIDEGATE_API_KEY": site.token,
            "LOCUST_HOST": f"http://{site.host}:{site.port}",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(running.communicate(), HANG_S)
    assert running.returncode is not None
    return running.returncode, output.decode()


async def test_orders_are_placed_and_paid(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", tmp_path: Path
) -> None:
    """No request fails, and every reported payment is applied to its order."""
    status, output = await locust(
        site, "--peak", "10", "--quiet-s", "0", "--hold-s", "1", "--after-s", "0",
        "--payments", f"wechatpay={tmp_path / 'wechatpay.json'}",
    )  # fmt: skip
    assert status == 0, output
    counts = dict(
        await ledger.fetch("SELECT status, count(*) FROM orders WHERE is_test GROUP BY status")
    )
    assert counts.get("paid", 0) > 0, output
    # Some may have been placed just before the rehearsal ended.
    assert counts.get("pending_payment", 0) <= counts["paid"]
    assert await ledger.fetchval("SELECT count(*) FROM payments") == counts["paid"]
    assert await ledger.fetchval("SELECT count(*) FROM parked") == 0


@pytest.mark.parametrize(
    ("payments", "message"),
    [
        ("unknown=x.json", "is not PROVIDER=FILE"),
        ("wechatpay", "is not PROVIDER=FILE"),
        ("wechatpay=missing.json", "holds no simulated account"),
        ("kuaidi100={there}", "takes no payments in CNY"),
    ],
)
async def test_a_wrong_account_is_named(
    site: Site, tmp_path: Path, payments: str, message: str
) -> None:
    there = tmp_path / "kuaidi100.json"
    keys.save(there, kuaidi100.create())
    status, output = await locust(site, "--payments", payments.format(there=there))
    assert status != 0
    assert message in output
