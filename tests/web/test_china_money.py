"""Messages of China's providers into the ledger: what each story comes to, however it arrives.

Other amounts, currencies and orders of events than ``test_callbacks_parts.py`` plays by simulators.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from gateway.providers.contract import Message
from gateway.runtime.settings import Account
from tests.providers import (
    alipay_samples,
    apiv3_samples,
    douyin_pay_samples,
    unionpay_samples,
    wechatpay_samples,
)
from tests.support.site import Site
from tests.web import stories

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: Tells of an order: takes a serial, the order number, and which message of the story it is.
Tell = Callable[[str, str, int], Message]

SETTINGS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "wechatpay": (apiv3_samples.SECRET, wechatpay_samples.OPTIONS),
    "douyin_pay": (apiv3_samples.SECRET, douyin_pay_samples.OPTIONS),
    "alipay": (
        alipay_samples.pem(alipay_samples.ALIPAYS_KEY),
        {"app_id": alipay_samples.APP_ID},
    ),
    "unionpay": (unionpay_samples.ISSUERS, {"mer_id": unionpay_samples.MER_ID}),
}


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    made = []
    for name, (secret, options) in SETTINGS.items():
        (tmp_path / name).write_text(secret)
        made.append(Account(name, "main", ["web"], [f"file:{tmp_path / name}"], options))
    return made


class Story(NamedTuple):
    """What is told of an order of ``payable``, and what it comes to: see ``stories.Story``."""

    payable: str
    tells: Sequence[Tell]
    status: str
    paid: str
    refunded: str = "0"
    parked: tuple[str, ...] = ()
    currency: str = "CNY"


def notice(provider: str, kind: str, content: Mapping[str, Any]) -> Tell:
    """Return a notice of WeChat Pay or Douyin Pay, of a payment or of a refund of it."""

    def tell(n: str, order_no: str, at: int) -> Message:
        time = (BEGUN + timedelta(minutes=at)).isoformat()
        told = {**content, "out_trade_no": order_no, "transaction_id": f"T{n}"}
        told["success_time"] = time
        if "out_refund_no" in told:
            told["out_refund_no"] += n
        body = apiv3_samples.callback(kind, told, id=f"EV{n}{at}", create_time=time)
        signed = {"wechatpay": wechatpay_samples.signed, "douyin_pay": douyin_pay_samples.signed}
        return signed[provider](body, at=int(datetime.now(UTC).timestamp()))

    return tell


def paid(provider: str, total: int, currency: str = "CNY") -> Tell:
    """Tell of a payment that the buyer, who had a coupon, saw in another currency."""
    kind = {"wechatpay": "TRANSACTION.SUCCESS", "douyin_pay": "PAYMENT.SUCCESS"}[provider]
    seen = {"payer_total": total - 1, "payer_currency": "USD"}
    amount = {"total": total, "currency": currency} | seen
    return notice(provider, kind, apiv3_samples.PAYMENT | {"amount": amount})


def back(provider: str, status: str, refund: int, no: str = "R", currency: str = "CNY") -> Tell:
    amount = {"total": 1, "refund": refund, "currency": currency}
    content = {"refund_status": status, "out_refund_no": no, "amount": amount}
    return notice(provider, f"REFUND.{status}", apiv3_samples.REFUND | content)


def ali(minute: int | None = None, **fields: str) -> Tell:
    """Return a notice of Alipay; ``@`` stands for its time."""

    def tell(n: str, order_no: str, at: int) -> Message:
        time = datetime(2026, 11, 23, 12) + timedelta(minutes=at if minute is None else minute)
        told = {name: value.replace("@", time.isoformat(" ")) for name, value in fields.items()}
        numbers = {"out_trade_no": order_no, "trade_no": f"T{n}", "notify_id": f"N{n}{at}"}
        return alipay_samples.notice({**numbers, "notify_time": time.isoformat(" "), **told})

    return tell


def union(**fields: str) -> Tell:
    """Return a notice of UnionPay; ``#`` stands for the serial."""

    def tell(n: str, order_no: str, at: int) -> Message:
        time = (datetime(2026, 11, 23, 12) + timedelta(minutes=at)).strftime("%Y%m%d%H%M%S")
        told = {name: value.replace("#", n) for name, value in fields.items()}
        numbers = {"orderId": order_no, "queryId": f"Q{n}", "txnTime": time}
        return unionpay_samples.notice({**numbers, **told}, now=datetime.now(UTC))

    return tell


def union_back(query_id: str, amount: str, **fields: str) -> Tell:
    numbers = {"queryId": f"{query_id}#", "origQryId": "Q#", "orderId": "RR#"}
    return union(**{"txnType": "04", "txnSubType": "00", "txnAmt": amount, **numbers, **fields})


FAILED = ("refund_failed",)


def _apiv3(provider: str) -> dict[str, Story]:
    def pay(total: int, currency: str = "CNY") -> Tell:
        return paid(provider, total, currency)

    def refund(status: str, amount: int, no: str = "R", currency: str = "CNY") -> Tell:
        return back(provider, status, amount, no, currency)

    return {
        "abnormal, then made good":
            Story("77.00", [pay(7700), refund("ABNORMAL", 700), refund("SUCCESS", 700)],
                  "paid", "77.00", "7.00", FAILED),
        "succeeded, then abnormal":
            Story("77.00", [pay(7700), refund("SUCCESS", 700), refund("ABNORMAL", 700)],
                  "paid", "77.00", "0", FAILED),
        "closed, another is made":
            Story("77.00", [pay(7700), refund("CLOSED", 700), refund("SUCCESS", 300, "S")],
                  "paid", "77.00", "3.00", FAILED),
        "told again under other ids":
            Story("77.00", [pay(7700), pay(7700), refund("SUCCESS", 700), refund("SUCCESS", 700)],
                  "paid", "77.00", "7.00"),
        "all of it in two":
            Story("77.00", [pay(7700), refund("SUCCESS", 7000), refund("SUCCESS", 700, "S")],
                  "refunded", "77.00", "77.00"),
        "without decimals":
            Story("7700", [pay(7700, "JPY"), refund("SUCCESS", 700, "R", "JPY")],
                  "paid", "7700", "700", (), "JPY"),
    }  # fmt: skip


ALIPAY = {
    "refunds, and finished": Story(
        "66.60",
        [
            ali(total_amount="66.60"),
            ali(total_amount="66.60", refund_fee="6.60", gmt_refund="@"),
            ali(total_amount="66.60", refund_fee="10.00", gmt_refund="@"),
            ali(total_amount="66.60", trade_status="TRADE_FINISHED"),
        ],
        "paid", "66.60", "10.00",
    ),
    "refunds in one second": Story(
        "66.60",
        [
            ali(total_amount="66.60"),
            ali(3, total_amount="66.60", refund_fee="6.60", gmt_refund="@"),
            ali(3, total_amount="66.60", refund_fee="8.60", gmt_refund="@"),
        ],
        "paid", "66.60", "8.60",
    ),
    "only its refund is told": Story(
        "66.60",
        [ali(total_amount="66.60", trade_status="TRADE_CLOSED", refund_fee="66.6", gmt_refund="@")],
        "refunded", "66.60", "66.60",
    ),
    "closed unpaid": Story(
        "66.60",
        [ali(total_amount="66.60", trade_status="TRADE_CLOSED", gmt_payment="")],
        "closed", "0",
    ),
    "priced in yen, settled in dollars": Story(
        "6660",
        [ali(total_amount="6660.00", trans_currency="JPY", settle_amount="44.10",
             settle_currency="USD")],
        "paid", "6660", "0", (), "JPY",
    ),
    "nothing to pay": Story("0.00", [ali(total_amount="0.00")], "paid", "0"),
}  # fmt: skip

UNIONPAY = {
    "two refunds": Story(
        "55.50",
        [union(txnAmt="5550"), union_back("R", "550"), union_back("S", "100")],
        "paid", "55.50", "6.50",
    ),
    "a refund succeeds, then fails": Story(
        "55.50",
        [union(txnAmt="5550"), union_back("R", "550"), union_back("R", "550", respCode="01")],
        "paid", "55.50", "0", FAILED,
    ),
    "cancelled on its day": Story(
        "55.50", [union(txnAmt="5550"), union_back("R", "5550", txnType="31")],
        "refunded", "55.50", "55.50",
    ),
    "authorised, completed for less, refunded": Story(
        "50.00",
        [
            union(txnAmt="5550", txnType="02"),
            union(txnAmt="5000", txnType="03", queryId="P#", origQryId="Q#"),
            union_back("R", "500", origQryId="P#"),
        ],
        "paid", "50.00", "5.00",
    ),
}  # fmt: skip

STORIES = [
    (provider, name, story)
    for provider, each in (
        ("wechatpay", _apiv3("wechatpay")),
        ("douyin_pay", _apiv3("douyin_pay")),
        ("alipay", ALIPAY),
        ("unionpay", UNIONPAY),
    )
    for name, story in each.items()
]


@pytest.mark.parametrize(
    ("provider", "story"),
    [pytest.param(provider, story, id=f"{provider} {name}") for provider, name, story in STORIES],
)
async def test_a_story_ends_the_same_in_any_order_of_arrival(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", provider: str, story: Story
) -> None:
    def tells(n: str, order_no: str) -> Sequence[Message]:
        return [tell(n, order_no, at) for at, tell in enumerate(story.tells, 1)]

    played = stories.Story(
        story.payable, tells, story.status, story.paid, story.refunded, None, story.parked
    )
    path = f"/v1/callbacks/{provider}/main"
    await stories.check(site, ledger, played, path=path, currency=story.currency)
