"""One odd field never costs a payment: what carries no money, number, status or time may be odd.

Each such field of a genuine message, at every depth, is replaced by what other versions and
plug-ins write there, and is left out. The money is booked all the same: the same transaction, the
same amount.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from msgspec import Struct

from gateway.domain import errors, events
from gateway.providers import contract

from . import (
    adyen_samples,
    alipay_samples,
    apiv3_samples,
    doudian_samples,
    douyin_pay_samples,
    kuaidi100_samples,
    paypal_samples,
    shopify_samples,
    standard_webhooks_samples,
    stripe_samples,
    unionpay_samples,
    wechatpay_samples,
    woocommerce_samples,
    youzan_samples,
)
from .support import check_storable

MISSING = object()
ODD: tuple[Any, ...] = (
    None, "", [], {}, 0, "x", 1.5, True, MISSING, "\0", "ü" * 300, [None], {"a": 1},
)  # fmt: skip
ODD_TEXT: tuple[Any, ...] = ("", "0", "x", "null", "[]", "{}", MISSING, "\0", "ü" * 300)


class Case(Struct, frozen=True):
    """A genuine message. ``carried``: the paths of what money, number, status and time need.

    So do the fields that say whose it is. ``post`` signs what it is given.
    """

    adapter: contract.Adapter
    content: Mapping[str, Any]
    post: Callable[[Any], contract.Message]
    carried: frozenset[str]
    odd: tuple[Any, ...] = ODD


def _carried(text: str) -> frozenset[str]:
    return frozenset(text.split())


_API3 = "mchid appid transaction_id amount.currency"
_STRIPE = "id object livemode type created data.object.id data.object.object data.object.currency"

CASES: dict[str, Case] = {
    "stripe intent": Case(
        stripe_samples.ADAPTER,
        stripe_samples.event("payment_intent.succeeded", stripe_samples.INTENT),
        stripe_samples.signed,
        _carried(f"{_STRIPE} data.object.amount_received data.object.status"),
    ),
    "stripe session": Case(
        stripe_samples.ADAPTER,
        stripe_samples.event("checkout.session.completed", stripe_samples.SESSION),
        stripe_samples.signed,
        _carried(
            f"{_STRIPE} data.object.amount_total data.object.payment_status data.object.mode "
            "data.object.payment_intent"
        ),
    ),
    "stripe charge": Case(
        stripe_samples.ADAPTER,
        stripe_samples.event("charge.refunded", stripe_samples.CHARGE),
        stripe_samples.signed,
        _carried(
            f"{_STRIPE} data.object.amount data.object.amount_captured data.object.captured "
            "data.object.amount_refunded data.object.payment_intent"
        ),
    ),
    "paypal capture": Case(
        paypal_samples.ADAPTER,
        paypal_samples.paid(),
        paypal_samples.signed,
        _carried(
            "id event_type create_time resource_type resource_version resource.id "
            "resource.status resource.amount.currency_code resource.amount.value"
        ),
    ),
    "paypal refund": Case(
        paypal_samples.ADAPTER,
        paypal_samples.refunded(),
        paypal_samples.signed,
        # The link is where a refund names its capture.
        _carried(
            "id event_type create_time resource_type resource_version resource.id "
            "resource.status resource.amount.currency_code resource.amount.value "
            "resource.links[1].href "
            "resource.links[1].rel"
        ),
    ),
    "adyen payment": Case(
        adyen_samples.ADAPTER,
        adyen_samples.PAYMENT,
        adyen_samples.signed,
        _carried(
            "additionalData.hmacSignature amount.currency amount.value eventCode eventDate "
            "merchantAccountCode merchantReference pspReference success"
        ),
    ),
    "adyen refund": Case(
        adyen_samples.ADAPTER,
        adyen_samples.REFUND,
        adyen_samples.signed,
        _carried(
            "additionalData.hmacSignature amount.currency amount.value eventCode eventDate "
            "merchantAccountCode merchantReference pspReference success originalReference"
        ),
    ),
    "alipay payment": Case(
        alipay_samples.ADAPTER,
        alipay_samples.FIELDS,
        lambda content: alipay_samples.posted(
            alipay_samples.encoded(alipay_samples.signed(content))
        ),
        _carried("app_id charset gmt_payment out_trade_no total_amount trade_no trade_status"),
        ODD_TEXT,
    ),
    "alipay refund": Case(
        alipay_samples.ADAPTER,
        alipay_samples.FIELDS | alipay_samples.REFUND,
        lambda content: alipay_samples.posted(
            alipay_samples.encoded(alipay_samples.signed(content))
        ),
        _carried(
            "app_id charset gmt_payment gmt_refund out_trade_no total_amount trade_no "
            "trade_status refund_fee out_biz_no"
        ),
        ODD_TEXT,
    ),
    "unionpay payment": Case(
        unionpay_samples.ADAPTER,
        unionpay_samples.FIELDS,
        lambda content: unionpay_samples.posted(
            unionpay_samples.encoded(unionpay_samples.signed(content))
        ),
        _carried(
            "merId currencyCode txnAmt settleAmt queryId respCode txnTime txnType encoding version "
            "signMethod orderId"
        ),
        ODD_TEXT,
    ),
    "unionpay refund": Case(
        unionpay_samples.ADAPTER,
        {
            name: str(value)
            for name, value in (unionpay_samples.FIELDS | unionpay_samples.REFUND).items()
        },
        lambda content: unionpay_samples.posted(
            unionpay_samples.encoded(unionpay_samples.signed(content))
        ),
        _carried(
            "merId currencyCode txnAmt settleAmt queryId origQryId respCode txnTime txnType "
            "encoding version signMethod"
        ),
        ODD_TEXT,
    ),
    "wechatpay payment": Case(
        wechatpay_samples.ADAPTER,
        apiv3_samples.PAYMENT,
        lambda content: wechatpay_samples.signed(
            apiv3_samples.callback("TRANSACTION.SUCCESS", content)
        ),
        _carried(f"{_API3} trade_state amount.total"),
    ),
    "wechatpay refund": Case(
        wechatpay_samples.ADAPTER,
        apiv3_samples.REFUND,
        lambda content: wechatpay_samples.signed(apiv3_samples.callback("REFUND.SUCCESS", content)),
        _carried(f"{_API3} refund_status refund_id out_refund_no amount.refund amount.total"),
    ),
    "wechatpay envelope": Case(
        wechatpay_samples.ADAPTER,
        apiv3_samples.callback("TRANSACTION.SUCCESS", apiv3_samples.PAYMENT),
        wechatpay_samples.signed,
        _carried(
            "event_type resource.ciphertext resource.nonce resource.algorithm "
            "resource.associated_data"
        ),
    ),
    "douyin pay payment": Case(
        douyin_pay_samples.ADAPTER,
        apiv3_samples.PAYMENT,
        lambda content: douyin_pay_samples.signed(
            apiv3_samples.callback("PAYMENT.SUCCESS", content)
        ),
        _carried(f"{_API3} trade_state amount.total"),
    ),
    "doudian payment": Case(
        doudian_samples.ADAPTER,
        doudian_samples.PAID_DATA,
        lambda content: doudian_samples.signed([doudian_samples.item("101", content)]),
        # Paid to the courier, or now: a status.
        _carried("p_id shop_id pay_amount pay_type"),
    ),
    "doudian refund": Case(
        doudian_samples.ADAPTER,
        doudian_samples.REFUNDED_DATA,
        lambda content: doudian_samples.signed([doudian_samples.item("206", content)]),
        # Only that there is a time proves that the money went back.
        _carried("p_id s_id shop_id aftersale_id aftersale_status refund_amount success_time"),
    ),
    "standard webhooks payment": Case(
        standard_webhooks_samples.ADAPTER,
        standard_webhooks_samples.content("payment.succeeded", standard_webhooks_samples.PAYMENT),
        standard_webhooks_samples.signed,
        # Data without an order number are of a sender's own shape.
        _carried("type data.transaction_id data.amount data.currency data.order_no"),
    ),
    "standard webhooks refund": Case(
        standard_webhooks_samples.ADAPTER,
        standard_webhooks_samples.content("refund.succeeded", standard_webhooks_samples.REFUND),
        standard_webhooks_samples.signed,
        _carried("type data.transaction_id data.refund_no data.amount data.currency"),
    ),
    "shopify order": Case(
        shopify_samples.ADAPTER,
        shopify_samples.ORDER,
        shopify_samples.posted,
        _carried(
            "id name currency total_price financial_status created_at updated_at refunds "
            "cancelled_at test"
        ),
    ),
    "shopify refund": Case(
        shopify_samples.ADAPTER,
        shopify_samples.ORDER
        | {"financial_status": "partially_refunded", "refunds": [shopify_samples.REFUND]},
        shopify_samples.posted,
        _carried(
            "id name currency total_price financial_status created_at updated_at cancelled_at test "
            "refunds[0].id refunds[0].created_at "
            + " ".join(
                f"refunds[0].transactions[{n}].{name}"
                for n in range(3)
                for name in ("kind", "status", "amount", "currency")
            )
        ),
    ),
    "woocommerce order": Case(
        woocommerce_samples.ADAPTER,
        woocommerce_samples.ORDER,
        woocommerce_samples.posted,
        _carried(
            "id number status currency total date_created_gmt date_modified_gmt date_paid_gmt "
            "refunds"
        ),
    ),
    "youzan order": Case(
        youzan_samples.ADAPTER,
        youzan_samples.full("TRADE_PAID"),
        lambda content: youzan_samples.pushed("trade_TradePaid", content),
        _carried(
            "full_order_info.order_info.tid full_order_info.order_info.status "
            "full_order_info.order_info.pay_time full_order_info.order_info.update_time "
            "full_order_info.order_info.created "
            "full_order_info.pay_info.payment full_order_info.pay_info.transaction "
            "full_order_info.pay_info.phase_payments"
        ),
    ),
    "kuaidi100 parcel": Case(
        kuaidi100_samples.ADAPTER,
        {
            "status": "shutdown",
            "message": "",
            "billstatus": "check",
            "lastResult": kuaidi100_samples.RESULT,
        },
        lambda content: kuaidi100_samples.signed(json.dumps(content)),
        _carried("status lastResult.nu lastResult.state lastResult.status lastResult.data[0].time"),
    ),
}

#: By case, what has to be right: what says whose a message is, and what is encrypted or signed.
_FIXED: Mapping[str, tuple[str, ...]] = {
    "stripe": ("livemode", "object"),
    "adyen": (
        "additionalData", "amount", "eventCode", "merchantAccountCode", "merchantReference",
        "pspReference", "originalReference", "success",
    ),
    "wechatpay envelope": ("resource",),
    "paypal": ("event_type",),
    "standard webhooks": ("type",),
    "kuaidi100": ("status",),
    "wechatpay": ("mchid", "appid"),
    "douyin pay": ("mchid", "appid"),
}  # fmt: skip

_COUNTED = (
    events.PaymentSucceeded,
    events.RefundSucceeded,
    events.Delivered,
)


def _counted(adapter: contract.Adapter, posted: contract.Message) -> set[tuple[Any, ...]]:
    """Return what a message books, without what it names it by."""
    found = set()
    for item in adapter.read(posted).items:
        check_storable(item)
        if isinstance(item.event, _COUNTED):
            found.add(
                (
                    type(item.event).__name__,
                    events.transaction_id(item.event) or events.tracking_no(item.event),
                    getattr(item.event, "amount", None),
                )
            )
    return found


def _paths(value: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield every path of a tree, as text and as steps."""
    pairs: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        pairs = enumerate(value)
    for step, inner in pairs:
        within = f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}".lstrip(".")
        yield within, (step,)
        for deeper, steps in _paths(inner, within):
            yield deeper, (step, *steps)


def _with(content: Any, steps: tuple[Any, ...], odd: Any) -> Any:
    changed = copy.deepcopy(content)
    at = changed
    for step in steps[:-1]:
        at = at[step]
    if odd is MISSING:
        del at[steps[-1]]
    else:
        at[steps[-1]] = odd
    return changed


def _free(case: Case) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the paths that carry nothing, nor hold what does."""
    return [
        (path, steps)
        for path, steps in _paths(case.content)
        if not any(
            carried == path or carried.startswith((f"{path}.", f"{path}["))
            for carried in case.carried
        )
    ]


@pytest.mark.parametrize("name", CASES)
def test_one_odd_field_never_costs_the_money(name: str) -> None:
    case = CASES[name]
    expected = _counted(case.adapter, case.post(copy.deepcopy(dict(case.content))))
    assert expected
    lost = []
    for path, steps in _free(case):
        for odd in case.odd:
            posted = case.post(_with(dict(case.content), steps, odd))
            try:
                found = _counted(case.adapter, posted)
            except Exception as exc:
                found = {(repr(exc),)}
            if found != expected:
                shown = "missing" if odd is MISSING else repr(odd)[:20]
                lost.append(f"{path} = {shown}: {found}")
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("name", CASES)
def test_what_is_carried_is_there(name: str) -> None:
    """A path that a message does not have would excuse nothing, and mislead."""
    case = CASES[name]
    paths = {path for path, _ in _paths(case.content)}
    optional = {"appid", "livemode", "amount.currency", "additionalData.hmacSignature"}
    assert {path for path in case.carried if path not in optional} <= paths


@pytest.mark.parametrize("name", CASES)
def test_a_genuine_message_is_booked_or_parked_whatever_is_odd(name: str) -> None:
    """Refused, it would be sent again for days, and then lost; some senders stop altogether.

    What says whose it is, and what is encrypted or signed, has to be right.
    """
    case = CASES[name]
    fixed = next((paths for of, paths in _FIXED.items() if name.startswith(of)), ("-",))
    refused = []
    for path, steps in _paths(case.content):
        if path.startswith(fixed):
            continue
        for odd in case.odd:
            try:
                posted = case.post(_with(dict(case.content), steps, odd))
            except (TypeError, AttributeError, KeyError):
                # What the provider signs cannot be this.
                continue
            try:
                reading = case.adapter.read(posted)
            except errors.Rejected as rejected:
                if rejected.reason == "malformed":
                    shown = "missing" if odd is MISSING else repr(odd)[:20]
                    refused.append(f"{path} = {shown}: {rejected.hint}")
            else:
                for item in reading.items:
                    check_storable(item)
    assert not refused, "\n".join(refused)
