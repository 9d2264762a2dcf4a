"""Lives of orders at shops, through the real server into the ledger, in every order of arrival."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from msgspec import Struct

from gateway.providers import contract
from gateway.runtime import settings as configuration
from tests.providers import doudian_samples as doudian
from tests.providers import shopify_samples as shopify
from tests.providers import woocommerce_samples as woocommerce
from tests.providers import youzan_samples as youzan
from tests.support.site import Site
from tests.web.support import order_bytes

Ledger: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
#: Makes a message about the order of a number.
Tell: TypeAlias = Callable[[int], contract.Message]

SECRETS: Mapping[str, tuple[str, dict[str, object]]] = {
    "woocommerce": (woocommerce.SECRET, {"country": "DE"}),
    "shopify": (shopify.SECRET, {"shop": shopify.SHOP}),
    "youzan": (youzan.SECRET, youzan.OPTIONS),
    "doudian": (doudian.SECRET, doudian.OPTIONS),
}


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    made = []
    for name, (secret, options) in SECRETS.items():
        (tmp_path / name).write_text(secret, "utf-8")
        secrets = [f"file:{tmp_path / name}"]
        made.append(configuration.Account(name, "shop", ["web"], secrets, options))
    return made


class Life(Struct, frozen=True):
    """What a shop tells of one order, and what the ledger must come to.

    ``number`` makes the order's number. ``may_park``: for what reasons a person may see it, by the
    order of arrival.
    """

    name: str
    provider: str
    number: Callable[[int], str]
    messages: Sequence[Tell]
    status: str
    paid: str
    refunded: str = "0"
    parcels: int = 0
    delivered: int = 0
    may_park: Sequence[str] = ()


def woo(**changes: Any) -> Tell:
    return lambda n: woocommerce.changed(id=n, number=str(n), customer_id=n, **changes)


def shop(**changes: Any) -> Tell:
    return lambda n: shopify.changed(id=n, name=f"#{n}", customer={"id": n}, **changes)


def shop_refunded(n: int) -> contract.Message:
    told = {"financial_status": "refunded", "refunds": [{"id": n, "transactions": [BACK]}]}
    return shop(**CANCELLED, **told)(n)


def shop_refund(status: str, hour: int) -> Tell:
    tried = BACK | {"amount": "5.00", "status": status, "processed_at": f"2026-11-24T{hour}:00:00Z"}
    made = {"financial_status": "paid" if status == "failure" else "partially_refunded"}
    return lambda n: shop(**made, refunds=[{"id": n, "transactions": [tried]}])(n)


def dispute(status: str) -> Tell:
    told = {"id": 285, "amount": "11.50", "currency": "EUR", "reason": "fraudulent"}
    at = {"evidence_due_by": "2026-12-03T19:00:00Z", "initiated_at": "2026-11-23T12:00:00Z"}
    done = {} if status == "needs_response" else {"finalized_on": "2026-11-24T12:00:00Z"}
    return lambda n: shopify.posted(told | at | done | {"order_id": n, "id": n, "status": status})


def zan(kind: str, status: str, deliveries: Any = (), **info: Any) -> Tell:
    def tell(n: int) -> contract.Message:
        content = youzan.full(status, tid=f"E{n}", **info)
        content["full_order_info"]["buyer_info"] = {"buyer_id": n}
        return youzan.pushed(kind, content | {"delivery_order": list(deliveries)})

    return tell


def brief(kind: str, **content: Any) -> Tell:
    at = {"update_time": "2026-11-23 20:00:00"}
    return lambda n: youzan.pushed(kind, {"tid": f"E{n}"} | at | content)


def dou(tag: str, data: Mapping[str, Any], **changes: Any) -> Tell:
    return lambda n: doudian.signed(
        [doudian.item(tag, {**data, "p_id": n, **changes}, f"{n}:{tag}:{len(str(changes))}")]
    )


PENDING = {"status": "pending", "date_paid_gmt": None}
COD = {"payment_method": "cod", "date_paid_gmt": None}
ALL_BACK = [{"id": 9, "total": "-39.46"}]
ONE: dict[str, Any] = {"id": 71, "status": "success", "tracking_numbers": ["JD1"]}
TWO: dict[str, Any] = {"id": 72, "status": "success", "tracking_numbers": ["JD2"]}
THERE = {"shipment_status": "delivered"}
BACK = {"kind": "refund", "status": "success", "amount": "38.08", "currency": "EUR"}
LEFT = shopify.LINE | {"current_quantity": 2}
CANCELLED = {"cancelled_at": "2026-11-23T12:00:00+01:00"}
PAY_INFO = youzan.FULL["pay_info"]
YT1 = {"dists": [{"dist_id": "P1", "express_info": {"express_id": 4, "express_no": "YT1"}}]}
YT2 = {"dists": [{"dist_id": "P2", "express_info": {"express_id": 4, "express_no": "YT2"}}]}
PACK_1 = {"express_company_id": "yunda", "logistics_code": "431", "pack_id": "1"}
PACK_2 = {"express_company_id": "yunda", "logistics_code": "432", "pack_id": "2"}

LIVES = [
    # Every completed WooCommerce order: nothing ever tells of a parcel.
    Life("woo completed", "woocommerce", str,
         [woo(**PENDING), woo(), woo(status="completed")], "completed", "39.46"),
    Life("woo on delivery", "woocommerce", str,
         [woo(**COD), woo(status="completed", payment_method="cod")], "completed", "39.46"),
    Life("woo on delivery, never told paid", "woocommerce", str,
         [woo(**COD), woo(**COD | {"status": "completed"})], "completed", "0"),
    Life("woo cancelled after payment", "woocommerce", str,
         [woo(**PENDING), woo(), woo(status="cancelled")], "cancelling", "39.46"),
    Life("woo cancelled and refunded", "woocommerce", str,
         [woo(), woo(status="cancelled"), woo(status="cancelled", refunds=ALL_BACK)],
         "refunded", "39.46", "39.46"),
    Life("woo cancelled unpaid", "woocommerce", str,
         [woo(**PENDING), woo(**PENDING | {"status": "cancelled"})], "closed", "0"),
    Life("woo failed, then paid", "woocommerce", str,
         [woo(**PENDING | {"status": "failed"}), woo()], "paid", "39.46"),
    Life("shopify two parcels", "shopify", "#{}".format,
         [shop(financial_status="pending"), shop(fulfillment_status="partial", fulfillments=[ONE]),
          shop(fulfillment_status="fulfilled", fulfillments=[ONE | THERE, TWO]),
          shop(fulfillment_status="fulfilled", fulfillments=[ONE | THERE, TWO | THERE])],
         "completed", "38.08", parcels=2, delivered=2),
    Life("shopify part of it delivered", "shopify", "#{}".format,
         [shop(fulfillment_status="partial", fulfillments=[ONE]),
          shop(fulfillment_status="fulfilled", fulfillments=[ONE | THERE, TWO])],
         "shipped", "38.08", parcels=2, delivered=1),
    Life("shopify downloads", "shopify", "#{}".format,
         [shop(), shop(fulfillment_status="fulfilled",
                       line_items=[shopify.LINE | {"requires_shipping": False}])],
         "completed", "38.08"),
    Life("shopify cancelled and refunded", "shopify", "#{}".format,
         [shop(), shop(**CANCELLED), shop_refunded], "refunded", "38.08", "38.08"),
    Life("shopify refund that fails after all", "shopify", "#{}".format,
         [shop(), shop_refund("success", 13), shop_refund("failure", 14)],
         "paid", "38.08", may_park=["refund_failed"]),
    Life("shopify refund that is tried again", "shopify", "#{}".format,
         [shop(), shop_refund("failure", 13), shop_refund("success", 14)],
         "paid", "38.08", "5.00", may_park=["refund_failed"]),
    Life("shopify authorised and voided", "shopify", "#{}".format,
         [shop(financial_status="authorized"), shop(financial_status="voided", **CANCELLED)],
         "closed", "0"),
    Life("shopify on delivery", "shopify", "#{}".format,
         [shop(financial_status="pending", fulfillment_status="fulfilled", fulfillments=[ONE]),
          shop(financial_status="pending", fulfillment_status="fulfilled",
               fulfillments=[ONE | THERE])],
         "completed", "0", parcels=1, delivered=1),
    Life("shopify dispute won", "shopify", "#{}".format,
         [shop(), dispute("needs_response"), dispute("won")], "paid", "38.08"),
    Life("youzan without a parcel", "youzan", "E{}".format,
         [zan("trade_TradeCreate", "WAIT_BUYER_PAY", pay_time=""),
          zan("trade_TradePaid", "TRADE_PAID"), brief("trade_TradeSuccess")],
         "completed", "88.80"),
    Life("youzan two parcels", "youzan", "E{}".format,
         [zan("trade_TradePaid", "TRADE_PAID"),
          zan("trade_TradeBuyerPay", "WAIT_BUYER_CONFIRM_GOODS", [YT1, YT2]),
          zan("trade_TradeSuccess", "TRADE_SUCCESS", [YT1, YT2])],
         "completed", "88.80", parcels=2),
    Life("youzan on delivery", "youzan", "E{}".format,
         [zan("trade_TradeBuyerPay", "WAIT_SELLER_SEND_GOODS", pay_type=9),
          brief("trade_TradeSellerShip"), brief("trade_TradeSuccess")],
         "completed", "0", parcels=1),
    Life("youzan closed after payment", "youzan", "E{}".format,
         [zan("trade_TradePaid", "TRADE_PAID"), brief("trade_TradeClose", close_type=2),
          brief("trade_refund_RefundSuccess", refund_id="R1", refunded_fee="88.80")],
         "refunded", "88.80", "88.80", may_park=["paid_after_close"]),
    Life("doudian completed", "doudian", str,
         [dou("101", doudian.PAID_DATA, pay_amount=19900), dou("103", doudian.COMPLETED_DATA)],
         "completed", "199"),
    Life("doudian on delivery", "doudian", str,
         [dou("101", doudian.PAID_DATA, pay_type=0), dou("102", doudian.SHIPPED_DATA),
          dou("103", doudian.COMPLETED_DATA)],
         "completed", "0", parcels=1),
    Life("doudian two parcels", "doudian", str,
         [dou("101", doudian.PAID_DATA, pay_amount=19900),
          dou("108", doudian.SHIPPED_DATA, logistics_msg=PACK_1),
          dou("102", doudian.SHIPPED_DATA, logistics_msg=PACK_2)],
         "shipped", "199", parcels=2),
    Life("doudian cancelled and refunded", "doudian", str,
         [dou("101", doudian.PAID_DATA, pay_amount=19900), dou("106", doudian.CANCELLED_DATA),
          dou("206", doudian.REFUNDED_DATA, refund_amount=19900)],
         "refunded", "199", "199"),
]  # fmt: skip


async def post(site: Site, provider: str, message: contract.Message) -> None:
    headers = dict(message.headers) | {"Content-Type": "application/json"}
    path = f"/v1/callbacks/{provider}/shop"
    async with site.client.post(path, data=message.body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def play(site: Site, ledger: Ledger, life: Life, sent: Sequence[Tell], n: int) -> None:
    """Send the messages; a platform that tells no order brings it by another way, at the end."""
    for tell in sent:
        await post(site, life.provider, tell(n))
    order_no = life.number(n)
    if life.provider == "doudian":
        amount = {"goods": "199.00", "payable": "199.00", "freight": "0.00"}
        item = {"sku": f"S-{n}", "name": "Tea", "quantity": 1, "unit_price": "199.00"}
        body = order_bytes(
            order_no=order_no, channel="web", currency="CNY", items=[item], amounts=amount
        )
        assert (await site.submit(body))[0] == 201
    id_ = await ledger.fetchval("SELECT id FROM orders WHERE order_no = $1", order_no)
    # As the sweeper does: what waited for an event that came after it is applied.
    await site.gateway.intake.settle(id_)


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
async def test_a_life_ends_the_same_in_every_order_of_arrival(
    site: Site, ledger: Ledger, life: Life
) -> None:
    start = 1_000_000 + 1000 * LIVES.index(life)
    for n, sent in enumerate(itertools.permutations(life.messages), start):
        await play(site, ledger, life, sent, n)
        row = await ledger.fetchrow(
            "SELECT id, status, paid, refunded FROM orders WHERE order_no = $1", life.number(n)
        )
        assert row is not None
        parcels = await ledger.fetch(
            "SELECT delivered_at FROM parcels WHERE order_id = $1", row["id"]
        )
        delivered = sum(at is not None for (at,) in parcels)
        found = (row["status"], row["paid"], row["refunded"], len(parcels), delivered)
        due = Decimal(life.paid), Decimal(life.refunded)
        told = [life.messages.index(tell) for tell in sent]
        assert found == (life.status, *due, life.parcels, life.delivered), f"told as {told}"
        reasons = await ledger.fetch("SELECT reason FROM parked WHERE order_id = $1", row["id"])
        assert {reason for (reason,) in reasons} <= set(life.may_park), f"told as {told}"


async def test_an_order_that_is_edited_before_it_is_paid(site: Site, ledger: Ledger) -> None:
    """It owes what it came to, and the payment of that pays it."""
    edited = {"current_total_price": "28.08", "line_items": [LEFT]}
    for told in (
        {"financial_status": "pending"},
        {"financial_status": "pending", **edited},
        edited,
    ):
        await post(site, "shopify", shop(**told)(77))
    found = "SELECT id, status, payable, paid FROM orders WHERE order_no = '#77'"
    row = await ledger.fetchrow(found)
    assert row is not None
    assert (row["status"], row["payable"], row["paid"]) == ("paid", *[Decimal("28.08")] * 2)
    assert await ledger.fetchval("SELECT count(*) FROM parked WHERE order_id = $1", row["id"]) == 0


async def test_what_is_paid_for_an_edit_after_the_payment_is_seen(
    site: Site, ledger: Ledger
) -> None:
    added = shopify.LINE | {"id": 8, "price": "10.00", "quantity": 1, "tax_lines": []}
    lines = [shopify.LINE, added | {"discount_allocations": []}]
    edited = {"current_total_price": "48.08", "line_items": lines}
    open_ = {"financial_status": "partially_paid", "total_outstanding": "10.00"}
    for told in ({}, edited | open_, edited, edited | {"note": "wrapped"}):
        await post(site, "shopify", shop(**told)(78))
    parked = await ledger.fetch(
        "SELECT p.reason, p.detail FROM parked p JOIN orders o ON o.id = p.order_id"
        " WHERE o.order_no = '#78' AND p.reason = 'amount_mismatch'"
    )
    assert [tuple(row) for row in parked] == [
        ("amount_mismatch", "paid 48.08 EUR, but 38.08 EUR when first reported")
    ]
