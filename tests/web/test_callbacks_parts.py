"""Parts, refunds that fail, disputes and parcels, as China's providers tell them, in the ledger.

Every message is signed as its provider signs it and goes through the HTTP server.
"""

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.runtime import settings as configuration
from ops.harness import accounts_file
from ops.simulators import registry
from ops.simulators.contract import Account, Kind, Posted, Trade
from tests.providers import apiv3_samples, kuaidi100_samples, unionpay_samples, wechatpay_samples
from tests.support.site import Site
from tests.web.support import order

PROVIDERS = ("alipay", "douyin_pay", "unionpay", "wechatpay")
#: Where each of them passes the order number through, for the account ``parts``.
PASSED = dict(zip(PROVIDERS, ("passback_params", "attach", "reqReserved", "attach"), strict=True))
WITH_FAILED_REFUNDS = [name for name in PROVIDERS if name != "alipay"]

_PLAYED = {name: registry.provider(name) for name in PROVIDERS}
_MADE = {name: played.create() for name, played in _PLAYED.items()}
_PASSING = {
    name: Account(made.secrets, {**made.options, "order_no_from": PASSED[name]}, made.private)
    for name, made in _MADE.items()
}
_SIMULATORS = {
    (name, account): _PLAYED[name].simulator(made)
    for account, each in (("main", _MADE), ("parts", _PASSING))
    for name, made in each.items()
}
_WAREHOUSE = registry.provider("standard_webhooks").create()
_serial = itertools.count(1)


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    """Return two accounts of each provider, and one of each whose messages tests write."""
    found = []
    for account, each in (("main", _MADE), ("parts", _PASSING)):
        for name, made in each.items():
            secrets = accounts_file.write_secrets(tmp_path, name, made.secrets)
            found.append(configuration.Account(name, account, ["web"], secrets, dict(made.options)))
    mer_id = {"mer_id": unionpay_samples.MER_ID}
    for name, secret, options in (
        ("wechatpay", apiv3_samples.SECRET, wechatpay_samples.OPTIONS),
        ("unionpay", unionpay_samples.ISSUERS, mer_id),
        ("kuaidi100", kuaidi100_samples.SALT, {}),
        ("standard_webhooks", _WAREHOUSE.secrets[0], _WAREHOUSE.options),
    ):
        secrets = accounts_file.write_secrets(tmp_path, f"written-{name}", [secret])
        found.append(configuration.Account(name, "written", ["web"], secrets, {**options}))
    return found


async def place(site: Site, *, payable: str = "100.00") -> Trade:
    """Place an order; return what its provider reports of it: parts of 60 and 40."""
    number = f"W{next(_serial):07d}"
    item = {"sku": number, "name": "Cup", "quantity": 1, "unit_price": payable}
    nothing = dict.fromkeys(("shop_discount", "platform_subsidy", "freight"), "0")
    amounts = {"goods": payable, "payable": payable, **nothing}
    content = order(order_no=number, amounts=amounts, items=[item], buyer_id=number)
    status, answer = await site.submit(json.dumps(content).encode())
    assert status == 201, answer
    return Trade(number, number, Decimal(payable), Decimal(60), "CNY")


async def post(site: Site, name: str, account: str, posted: Posted | Any) -> None:
    """Post a genuine message: it must be taken."""
    path = f"/v1/callbacks/{name}/{account}"
    async with site.client.post(path, data=posted.body, headers=dict(posted.headers)) as answer:
        assert answer.status == 200, await answer.text()


async def tell(
    site: Site, name: str, trade: Trade, kinds: Sequence[tuple[Kind, int]], account: str = "main"
) -> None:
    """Post what happened so many seconds after each other, in this order of arrival."""
    start = datetime.now(UTC).replace(microsecond=0)
    for kind, seconds in kinds:
        at = start + timedelta(seconds=seconds)
        await post(site, name, account, _SIMULATORS[name, account].message(kind, trade, at=at))


async def state(ledger: "asyncpg.Pool[asyncpg.Record]", trade: Trade) -> tuple[Any, ...]:
    """Return status, paid, refunded, hold and what is parked of the order."""
    row = await ledger.fetchrow(
        """
        SELECT status, paid, refunded, hold,
               (SELECT array_agg(reason ORDER BY reason) FROM parked p WHERE p.order_id = o.id)
          FROM orders o WHERE order_no = $1
        """,
        trade.order_no,
    )
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("account", ["main", "parts"])
@pytest.mark.parametrize("name", PROVIDERS)
async def test_deposit_and_balance_add_up(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str, account: str
) -> None:
    """Two transactions of one order, each sent twice, in either order: paid when all is there."""
    for first, second, part in (
        ("part_paid", "rest_paid", 60),
        ("rest_paid", "part_paid", 40),
    ):
        trade = await place(site)
        told: list[tuple[Any, int]] = [(first, 0), (first, 0)]
        await tell(site, name, trade, told, account)
        assert await state(ledger, trade) == ("pending_payment", part, 0, None, None)
        await tell(site, name, trade, [(second, 1), (second, 1), (first, 0)], account)  # type: ignore[list-item]
        assert await state(ledger, trade) == ("paid", 100, 0, None, None)


async def test_two_providers_pay_one_order(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    for first, second in itertools.permutations(PROVIDERS, 2):
        trade = await place(site)
        await tell(site, first, trade, [("part_paid", 0)], "parts")
        await tell(site, second, trade, [("rest_paid", 1)])
        assert await state(ledger, trade) == ("paid", 100, 0, None, None), (first, second)


async def test_a_trade_of_the_balance_times_out(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """Where the order number is passed through, a trade that was not paid closes no order."""
    trade = await place(site)
    await tell(site, "wechatpay", trade, [("part_paid", 0)], "parts")
    await tell(site, "alipay", trade, [("closed", 1)], "parts")
    assert await state(ledger, trade) == ("pending_payment", 60, 0, None, None)
    await tell(site, "alipay", trade, [("rest_paid", 2)], "parts")
    assert await state(ledger, trade) == ("paid", 100, 0, None, None)


@pytest.mark.parametrize("account", ["main", "parts"])
@pytest.mark.parametrize("name", PROVIDERS)
async def test_refunds_in_every_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str, account: str
) -> None:
    told: list[tuple[Any, int]] = [("paid", 0), ("partial_refund", 1), ("refund", 2)]
    for arrival in itertools.permutations(told):
        trade = await place(site)
        await tell(site, name, trade, arrival, account)
        assert await state(ledger, trade) == ("refunded", 100, 100, None, None), arrival


@pytest.mark.parametrize("name", WITH_FAILED_REFUNDS)
async def test_a_failed_refund_in_every_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    """What was booked is taken back, whenever it is told, and a person hears of it."""
    told: list[tuple[Any, int]] = [("paid", 0), ("partial_refund", 1), ("refund_failed", 2)]
    for arrival in itertools.permutations(told):
        trade = await place(site)
        await tell(site, name, trade, arrival)
        assert await state(ledger, trade) == ("paid", 100, 0, None, ["refund_failed"]), arrival


async def test_a_complaint_holds_the_order(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    trade = await place(site)
    await tell(site, "wechatpay", trade, [("paid", 0), ("dispute_opened", 1)])
    assert await state(ledger, trade) == ("paid", 100, 0, "disputed", None)
    await tell(site, "wechatpay", trade, [("dispute_won", 2)])
    assert await state(ledger, trade) == ("paid", 100, 0, None, None)


async def test_a_combined_payment(site: Site, ledger: "asyncpg.Pool[asyncpg.Record]") -> None:
    """One callback pays two orders, and the refund of one of them finds its own."""
    trades = [await place(site), await place(site, payable="40.00")]
    parts = [
        {
            "mchid": apiv3_samples.MCHID,
            "trade_state": "SUCCESS",
            "success_time": "2026-11-23T19:58:34+08:00",
            "transaction_id": f"42{trade.serial}",
            "out_trade_no": trade.order_no,
            "amount": {"total_amount": int(trade.amount * 100), "currency": "CNY"},
        }
        for trade in trades
    ]
    content = {"combine_mchid": apiv3_samples.MCHID, "sub_orders": parts}
    refund = apiv3_samples.REFUND | {
        "out_trade_no": trades[1].order_no,
        "transaction_id": f"42{trades[1].serial}",
        "out_refund_no": f"R{trades[1].serial}",
        "amount": {"total": 4000, "refund": 4000},
    }
    for number, kind, resource in (
        ("c1", "TRANSACTION.SUCCESS", content),
        ("c1", "TRANSACTION.SUCCESS", content),
        ("c2", "REFUND.SUCCESS", refund),
    ):
        body = apiv3_samples.callback(kind, resource, id=number)
        now = int(datetime.now(UTC).timestamp())
        await post(site, "wechatpay", "written", wechatpay_samples.signed(body, at=now))
    assert await state(ledger, trades[0]) == ("paid", 100, 0, None, None)
    assert await state(ledger, trades[1]) == ("refunded", 40, 40, None, None)


async def test_authorised_captured_and_returned(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """An authorisation pays nothing; its completion does, and the cancellation returns that."""
    trade = await place(site)
    authorised = {"orderId": trade.order_no, "queryId": f"1{trade.serial}", "txnType": "02"}
    captured = {
        "orderId": trade.order_no,
        "queryId": f"2{trade.serial}",
        "origQryId": f"1{trade.serial}",
        "txnAmt": "10000",
        "txnType": "03",
    }
    returned = {
        "orderId": f"R{trade.serial}",
        "queryId": f"3{trade.serial}",
        "origQryId": f"2{trade.serial}",
        "txnAmt": "10000",
        "txnType": "33",
    }
    for changes, expected in (
        (authorised, ("pending_payment", 0, 0, None, None)),
        (captured, ("paid", 100, 0, None, None)),
        (returned, ("refunded", 100, 100, None, None)),
    ):
        await post(site, "unionpay", "written", unionpay_samples.notice(changes))
        assert await state(ledger, trade) == expected


async def test_an_order_of_two_parcels(site: Site, ledger: "asyncpg.Pool[asyncpg.Record]") -> None:
    """What is refused or lies in a locker is not delivered; the last parcel completes the order."""
    trade = await place(site)
    await tell(site, "wechatpay", trade, [("paid", 0)])
    warehouse = registry.provider("standard_webhooks").simulator(_WAREHOUSE)
    numbers = []
    for mark in "AB":
        parcel = Trade(f"{trade.serial}{mark}", trade.order_no, trade.amount, trade.refunded, "EUR")
        shipped = warehouse.message("shipped", parcel, at=datetime.now(UTC))
        await post(site, "standard_webhooks", "written", shipped)
        numbers.append(f"JD{parcel.serial}")
    assert (await state(ledger, trade))[0] == "shipped"
    for number, code, expected in (
        (numbers[0], "501", "shipped"),
        (numbers[0], "304", "shipped"),
        (numbers[0], "3", "shipped"),
        (numbers[1], "14", "shipped"),
        (numbers[1], "302", "completed"),
    ):
        param = kuaidi100_samples.param(nu=number, state=code)
        await post(site, "kuaidi100", "written", kuaidi100_samples.signed(param))
        assert (await state(ledger, trade))[0] == expected, (number, code)
    found = "SELECT 1 FROM parked WHERE detail LIKE $1"
    assert len(await ledger.fetch(found, f"parcel {numbers[1]} %")) == 1


@pytest.mark.parametrize("name", ["douyin_pay", "wechatpay"])
async def test_a_refund_that_is_finished_by_hand(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    """An abnormal refund that the merchant finishes succeeds later, under the same number."""
    told: list[tuple[Any, int]] = [("paid", 0), ("refund_failed", 1), ("partial_refund", 2)]
    for arrival in itertools.permutations(told):
        trade = await place(site)
        await tell(site, name, trade, arrival)
        assert await state(ledger, trade) == ("paid", 100, 60, None, ["refund_failed"]), arrival
