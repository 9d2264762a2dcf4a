"""``ops/guides/providers.md``: each cell is what the adapter makes of such a message."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal

import pytest

from gateway.domain import events, orders
from gateway.providers import adyen, contract
from ops.simulators.contract import Kind, Trade

from . import (
    adyen_samples,
    alipay_samples,
    apiv3_samples,
    douyin_pay_samples,
    paypal_samples,
    shopify_samples,
    stripe_samples,
    subjects,
    unionpay_samples,
    wechatpay_samples,
    woocommerce_samples,
    youzan_samples,
)
from .pieces import ROOT
from .subjects import NAMES, subject
from .support import NOW, account
from .test_alipay_meaning import message as alipay_message
from .test_wechatpay_meaning import SERVICE

PAGE = (ROOT / "ops" / "guides" / "providers.md").read_text("utf-8")
Told = list[events.Event | orders.Submission]
#: What a cell may say, and what of it the events are.
BOOKED = (
    events.PaymentSucceeded, events.RefundSucceeded, events.RefundFailed, events.Dispute,
    events.Shipped, events.Delivered, orders.Submission,
)  # fmt: skip

#: The kinds of simulated messages that a column is about.
KINDS: dict[str, tuple[Kind, ...]] = {
    "several payments": ("part_paid", "rest_paid"),
    "partial refund": ("partial_refund",),
    "failed refund": ("refund_failed",),
    "dispute": ("dispute_opened",),
}

_FEN = {"total": 20300, "payer_total": 20300, "currency": "CNY", "payer_currency": "CNY"}
_IN_PART = {"financial_status": "partially_paid", "total_outstanding": "10.00"}
_TWO_PARCELS = {
    "dists": [{"dist_id": no, "express_info": {"express_no": no}} for no in ("YT1", "YT2")]
}


def _read(of: contract.Adapter, *messages: contract.Message) -> Callable[[], Told]:
    return lambda: [item.event for each in messages for item in of.read(each).items]


#: Signed by hand: what no simulator sends.
BY_HAND: dict[tuple[str, str], Callable[[], Told]] = {
    ("stripe", "partial capture"): _read(
        stripe_samples.ADAPTER,
        stripe_samples.signed(
            stripe_samples.event(
                "payment_intent.succeeded",
                stripe_samples.INTENT | {"amount": 20675, "amount_received": 20300},
            )
        ),
    ),
    ("adyen", "partial capture"): _read(
        adyen.adapter(
            account(adyen_samples.SECRET, **adyen_samples.OPTIONS | {"capture": "manual"})
        ),
        adyen_samples.signed(
            adyen_samples.REFUND | {"eventCode": "CAPTURE", "merchantReference": "SO-1001"}
        ),
    ),
    ("paypal", "partial capture"): _read(
        paypal_samples.ADAPTER,
        paypal_samples.signed(
            paypal_samples.paid(amount={"currency_code": "USD", "value": "60.00"})
        ),
    ),
    ("wechatpay", "partial capture"): _read(
        wechatpay_samples.ADAPTER,
        wechatpay_samples.signed(apiv3_samples.callback("PAYSCORE.USER_PAID", SERVICE)),
    ),
    ("douyin_pay", "partial capture"): _read(
        douyin_pay_samples.ADAPTER,
        douyin_pay_samples.signed(
            apiv3_samples.callback("PAYMENT.SUCCESS", apiv3_samples.PAYMENT | {"amount": _FEN})
        ),
    ),
    ("alipay", "partial capture"): _read(
        alipay_samples.ADAPTER, alipay_samples.notice({"total_amount": "203.00"})
    ),
    ("unionpay", "partial capture"): _read(
        unionpay_samples.ADAPTER, unionpay_samples.notice({"txnType": "03", "origQryId": "1"})
    ),
    ("standard_webhooks", "partial capture"): lambda: _simulated("standard_webhooks", "paid"),
    ("shopify", "partial capture"): _read(
        shopify_samples.ADAPTER, shopify_samples.changed(**_IN_PART)
    ),
    ("shopify", "several payments"): _read(
        shopify_samples.ADAPTER, shopify_samples.changed(**_IN_PART)
    ),
    ("woocommerce", "several payments"): _read(
        woocommerce_samples.ADAPTER,
        woocommerce_samples.changed(status="partially-paid", date_paid_gmt=None),
    ),
    ("youzan", "several parcels"): _read(
        youzan_samples.ADAPTER,
        youzan_samples.pushed(
            "trade_TradeSellerShip",
            youzan_samples.full("WAIT_BUYER_CONFIRM_GOODS") | {"delivery_order": [_TWO_PARCELS]},
        ),
    ),
    ("alipay", "dispute"): _read(
        alipay_samples.ADAPTER,
        alipay_message("alipay.merchant.tradecomplain.changed", {"complain_event_id": "2026"}),
    ),
    ("douyin_pay", "dispute"): _read(
        douyin_pay_samples.ADAPTER,
        douyin_pay_samples.signed(
            apiv3_samples.callback("COMPLAINT.CREATE", apiv3_samples.PAYMENT)
        ),
    ),
}


def table() -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the columns, and each provider's cells by column, without their notes."""
    head, _, *rows = re.findall(r"^\|(.*)\|$", PAGE, re.M)
    columns = [cell.strip() for cell in head.split("|")][1:]
    found = {}
    for row in rows:
        first, *cells = (re.sub(r"\[\w\]\(#notes\)", "", cell).strip() for cell in row.split("|"))
        name = re.match(r"\[`(\w+)`\]", first)
        assert name, row
        found[name[1]] = dict(zip(columns, cells, strict=True))
    return columns, found


COLUMNS, CELLS = table()


@pytest.mark.usefixtures("pooled_keys")
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", NAMES)
def test_a_cell_says_what_the_adapter_does(name: str, column: str) -> None:
    says = CELLS[name][column]
    told = list(_told(name, column))
    assert (says == "not taken") == (not told), f"{says}: {told}"
    last = told[-1] if told else None
    match says:
        case "booked":
            assert isinstance(last, BOOKED), last
        case "recorded":
            assert isinstance(last, events.Noted), last
        case "parked":
            assert isinstance(last, events.Unmapped), last
        case _:
            assert says == "not taken", f"{says!r} is no word of the table"


def test_every_provider_has_its_row_in_the_order_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert list(CELLS) == sorted(NAMES, key=lambda name: readme.index(f"[`{name}`]"))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"kuaidi100"}))
def test_the_providers_own_page_says_the_same(name: str) -> None:
    page = (ROOT / "gateway" / "providers" / f"{name}.md").read_text("utf-8")
    (found,) = re.findall(r"^\| does it take \| \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", page, re.M)
    own = [row.strip("|").split(" | ", 1) for row in found.splitlines()]
    for column in COLUMNS:
        (says,) = [said for what, said in own if column in what]
        assert says.startswith(CELLS[name][column]), column


def test_every_note_is_there_and_used() -> None:
    used = set(re.findall(r"\[(\w)\]\(#notes\)", PAGE))
    assert used == set(re.findall(r"^- \*\*(\w)\*\*:", PAGE, re.M))


def _told(name: str, column: str) -> Iterable[events.Event | orders.Submission]:
    """Return the events of messages of this kind; none, where nobody sends such."""
    if by_hand := BY_HAND.get((name, column)):
        found = by_hand()
        if column == "several parcels":
            assert len([each for each in found if isinstance(each, events.Shipped)]) > 1
        return found
    if column == "zero amounts":
        return _of_nothing(name)
    if column == "several parcels":
        return _parcels(name)
    if column not in KINDS:
        return []
    kinds = [kind for kind in KINDS[column] if kind in subject(name).played.KINDS]
    found = [event for kind in kinds for event in _simulated(name, kind)]
    if column == "several payments":
        paid = [each for each in found if isinstance(each, events.PaymentSucceeded)]
        assert len({each.transaction_id for each in paid}) == len(kinds), "one payment, told twice"
    return found


def _simulated(name: str, kind: Kind, trade: Trade | None = None) -> Told:
    of = subject(name)
    posted = of.simulator.message(kind, trade or of.trade(), at=NOW)
    reading = subjects.reading(of.adapter, posted)
    assert not isinstance(reading, str), reading
    return [item.event for item in reading.items]


def _of_nothing(name: str) -> Told:
    """A payment of 0; of a shop, an order of 0."""
    of = subject(name)
    kinds = of.played.KINDS
    first: Kind = "placed" if "placed" in kinds else "paid"
    if first not in kinds:
        return []
    nothing = Trade("T0", "SO-T0", Decimal(0), Decimal(0), of.played.CURRENCIES[0])
    found = _simulated(name, first, nothing)
    amounts = [_amount(event) for event in found]
    assert not any(amounts), found
    return found


def _amount(event: events.Event | orders.Submission) -> Decimal:
    match event:
        case orders.Submission():
            return event.amounts.payable
        case events.PaymentSucceeded():
            return event.amount
        case _:
            return Decimal(0)


def _parcels(name: str) -> Told:
    """Two parcels of one order; of a courier, that two parcels are there."""
    of = subject(name)
    kind: Kind = "delivered" if "paid" not in of.played.KINDS else "shipped"
    if kind not in of.played.KINDS:
        return []
    found: dict[str, events.Event] = {}
    for serial in ("T1", "T2"):
        usual = of.trade()
        trade = Trade(serial, usual.order_no, usual.amount, usual.refunded, usual.currency)
        for event in _simulated(name, kind, trade):
            if isinstance(event, events.Shipped | events.Delivered):
                found[event.tracking_no] = event
    assert len(found) == 2, f"both are one parcel: {found}"
    return list(found.values())
