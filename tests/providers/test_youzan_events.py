"""How Youzan's adapter reads genuine messages, and its configuration."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import events, orders, validation
from gateway.providers import contract, youzan
from ops.simulators import youzan as simulated
from ops.simulators.contract import Trade

from .support import NOW, account, bent, message, read_one, rejection, replaced, verdict
from .youzan_samples import (
    ADAPTER,
    CLOSE,
    FULL,
    LINES,
    OPTIONS,
    ORDER,
    PAID,
    PARCEL,
    PAYMENT,
    REFUND,
    SECRET,
    TID,
    UPDATED,
    full,
    pushed,
    read_events,
    signed,
)


def order_with(**changes: Any) -> events.Event | orders.Submission:
    """Read an order with some parts replaced, and return its submission."""
    content = full("WAIT_BUYER_PAY", pay_time="")
    content["full_order_info"] = content["full_order_info"] | changes
    return read_events("trade_TradeCreate", content)[0]


def test_paid_order() -> None:
    """A message with the complete order places it and pays it, in this order."""
    placed, paid = ADAPTER.read(PAID).items
    assert (placed.event, paid.event) == (ORDER, PAYMENT)
    assert placed.key.removesuffix(":placed") == paid.key.removesuffix(":paid")


def test_order_can_be_stored() -> None:
    """The order passes the checks that orders of shops have to pass."""
    checked = validation.check(ORDER, channels=("web",), now=NOW, is_from_shop=True)
    assert checked == (ORDER, "+8613800138000")


@pytest.mark.parametrize("how", ["quote", "quote_plus", "text", "object"])
def test_msg_is_written_in_four_ways(how: str) -> None:
    """However ``msg`` is escaped, pluses, blanks and per cents in it are what they were."""
    assert read_events("trade_TradePaid", full("TRADE_PAID"), how=how) == [ORDER, PAYMENT]


@pytest.mark.parametrize(
    ("status", "changes", "then"),
    [
        ("WAIT_BUYER_PAY", {"pay_time": ""}, []),
        ("TRADE_PAID", {}, [PAYMENT]),
        ("WAIT_CONFIRM", {}, [PAYMENT]),
        ("WAIT_SELLER_SEND_GOODS", {}, [PAYMENT]),
        (
            "TRADE_SUCCESS",
            {"success_time": "2026-11-23 20:00:00"},
            [PAYMENT, events.Delivered(TID, UPDATED)],
        ),
        (
            "TRADE_CLOSED",
            {"pay_time": "", "close_type": 1},
            [events.Closed(TID, "timed_out", UPDATED)],
        ),
        (
            "TRADE_CLOSED",
            {"pay_time": None, "close_type": 4},
            [events.Closed(TID, "cancelled", UPDATED)],
        ),
    ],
)
def test_statuses(status: str, changes: Any, then: list[events.Event]) -> None:
    """Each status yields its events and always the same order."""
    assert read_events("trade_TradePaid", full(status, **changes)) == [ORDER, *then]


def test_unknown_status_is_parked() -> None:
    """A status that is not documented never means paid."""
    order, unknown = read_events("trade_TradePaid", full("WAIT_GROUP"))
    assert order == ORDER
    assert isinstance(unknown, events.Unmapped)
    assert "WAIT_GROUP" in unknown.detail


@pytest.mark.parametrize(
    ("close_type", "event"),
    [
        (1, events.Closed(TID, "timed_out", UPDATED)),
        (4, events.Closed(TID, "cancelled", UPDATED)),
        ("5", events.Closed(TID, "cancelled", UPDATED)),
        *((n, events.Closed(TID, "timed_out", UPDATED)) for n in (20,)),
        *((n, events.Closed(TID, "cancelled", UPDATED)) for n in (3, 10, 11, 12, 17, 18)),
        # With a refund, which has a message of its own.
        *((n, events.Closed(TID, "cancelled", UPDATED)) for n in (2, 6, 22)),
    ],
)
def test_close(close_type: object, event: events.Event) -> None:
    """Closed is closed, whatever was paid."""
    content = CLOSE | {"close_type": close_type}
    assert read_events("trade_TradeClose", content) == [event]


@pytest.mark.parametrize("close_type", [0, None, 13, 99, "x", 10**30])
def test_unclear_close_is_parked(close_type: object) -> None:
    """Closed for a reason that may mean paid elsewhere is for a person."""
    (event,) = read_events("trade_TradeClose", CLOSE | {"close_type": close_type})
    assert isinstance(event, events.Unmapped)
    assert event.order_no == TID


@pytest.mark.parametrize("kind", ["trade_refund_RefundSuccess", "youzan_trade_RefundSuccess"])
def test_refund(kind: str) -> None:
    """A refund is one of the order's payment, under its own number."""
    assert read_events(kind, REFUND, how="object") == [
        events.RefundSucceeded(
            TID, TID, "202611240900580000031002", Decimal("8.80"), False, "CNY", UPDATED
        )
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"tid": None},
        {"tid": "E 1"},
        {"refunded_fee": "0"},
        {"refunded_fee": "-1"},
        {"refunded_fee": "8.805"},
        {"refunded_fee": "NaN"},
        {"refunded_fee": "1E+400"},
        {"refunded_fee": None},
        {"refund_id": None},
        {"refund_id": "a b"},
        {"update_time": "2026-02-30 20:00:00"},
    ],
)
def test_malformed_refunds_are_parked(changes: dict[str, object]) -> None:
    """Money of the wrong shape is neither guessed nor dropped."""
    (event,) = read_events("trade_refund_RefundSuccess", REFUND | changes)
    assert isinstance(event, events.Unmapped)
    assert event.detail


def test_which_messages_are_refunds_is_an_option() -> None:
    """An agreed refund is parked unless the option lists it."""
    kind = "trade_refund_RefundSellerAgree"
    (event,) = read_events(kind, REFUND)
    assert isinstance(event, events.Unmapped)
    trusting = youzan.adapter(account(SECRET, **OPTIONS, refund_types=[kind]))
    assert isinstance(read_one(trusting, pushed(kind, REFUND)), events.RefundSucceeded)


@pytest.mark.parametrize("kind", ["trade_TradeCreate", "trade_TradePaid", "trade_TradeBuyerPay"])
def test_hints(kind: str) -> None:
    """A message that only names its order is parked, or recorded if the merchant prefers."""
    content = {"tid": TID, "update_time": "2026-11-23 20:00:00"}
    (event,) = read_events(kind, content)
    assert isinstance(event, events.Unmapped)
    assert (event.kind, event.order_no, event.occurred_at) == (kind, TID, UPDATED)
    quiet = youzan.adapter(account(SECRET, **OPTIONS, park_hints=False))
    assert read_one(quiet, pushed(kind, content)) == events.Noted(kind, UPDATED)


def test_completed() -> None:
    """A finished trade is one whose buyer has the parcel."""
    content = {"tid": TID, "update_time": "2026-11-23 20:00:00"}
    assert read_events("trade_TradeSuccess", content) == [events.Delivered(TID, UPDATED)]


def test_other_messages_are_noted() -> None:
    """Messages without effect are recorded; a message without a type is parked."""
    assert read_events("trade_TradeMemoModified", {"tid": TID}) == [
        events.Noted("trade_TradeMemoModified", NOW)
    ]
    (untyped,) = read_events("", {"tid": TID})
    assert isinstance(untyped, events.Unmapped)


@pytest.mark.parametrize("test", [True, "true"])
def test_test_messages_change_nothing(test: object) -> None:
    """A test from the console is acknowledged and has no effect on any order."""
    assert read_events("trade_TradePaid", full("TRADE_PAID"), test=test) == [
        events.Noted("test", NOW)
    ]


def test_order_without_buyer_address_and_remark() -> None:
    """What is sold at a counter or sent by mail has no recipient and is an order still."""
    order = order_with(address_info=None, buyer_info=None, remark_info=None)
    assert isinstance(order, orders.Submission)
    assert order.buyer_id == f"order:{TID}"
    assert (order.remark, order.to.name, order.to.country) == (None, "", "CN")
    assert validation.check(order, channels=("web",), now=NOW, is_from_shop=True).phone == ""


def test_encrypted_fields_are_kept() -> None:
    """What is too long for its column because it is encrypted goes into the sealed attributes."""
    cipher = "$" + "x" * 200 + "$1$"
    address = FULL["address_info"] | {"receiver_tel": cipher, "receiver_name": cipher}
    order = order_with(address_info=address)
    assert isinstance(order, orders.Submission)
    assert (order.to.phone, order.to.name) == ("", "")
    assert order.attributes == {"receiver_tel": cipher, "receiver_name": cipher}
    assert validation.check(order, channels=("web",), now=NOW, is_from_shop=True).phone == ""


@pytest.mark.parametrize(
    ("changes", "sku"),
    [
        ({}, "8001-red"),
        ({"outer_sku_id": None}, "8001"),
        ({"outer_sku_id": "null", "outer_item_id": ""}, "36"),
        ({"outer_sku_id": "", "outer_item_id": None, "sku_id": 0}, "457842156"),
        ({"outer_sku_id": "x" * 65, "outer_item_id": None}, "36"),
    ],
)
def test_sku(changes: dict[str, object], sku: str) -> None:
    """The shop's own number names the goods, and Youzan's where there is none."""
    order = order_with(orders=[LINES[0], LINES[1] | changes])
    assert isinstance(order, orders.Submission)
    assert order.items[1].sku == sku


@pytest.mark.parametrize(
    "changes",
    [
        {"orders": []},
        {"orders": [LINES[0]] * 201},
        {"orders": [LINES[0] | {"num": 0}]},
        {"orders": [LINES[0] | {"num": 10**400}]},
        {"orders": [LINES[0] | {"price": "1E+400"}]},
        {"orders": [LINES[0] | {"price": "-1"}]},
        {"pay_info": {"payment": "95.51", "post_fee": "10.00"}},
        {"pay_info": {"payment": "88.805", "post_fee": "10.00"}},
        {"pay_info": {"payment": "-0.01"}},
        {"pay_info": None},
        {"orders": "none"},
    ],
)
def test_order_that_does_not_add_up_is_parked(changes: dict[str, object]) -> None:
    """An order that cannot be stored to the fen is parked under its number."""
    parked = order_with(**changes)
    assert isinstance(parked, events.Unmapped)
    assert (parked.kind, parked.order_no) == ("trade_TradeCreate", TID)
    assert parked.detail


def test_payment_of_a_parked_order_is_booked() -> None:
    """Money does not wait for the lines to add up."""
    content = full("TRADE_PAID")
    content["full_order_info"]["orders"] = [LINES[0] | {"price": "much"}]
    parked, paid = read_events("trade_TradePaid", content)
    assert isinstance(parked, events.Unmapped)
    assert paid == PAYMENT


@pytest.mark.parametrize(
    ("line", "payment", "discount", "rounding"),
    [
        # A line may cost more than its price, and the whole more or less than its lines.
        ({"total_fee": "80.01"}, "105.01", "0.00", None),
        ({"total_fee": "80.00"}, "105.02", "0.00", "0.02"),
        ({"total_fee": "80.00"}, "0.01", "104.99", None),
        ({"total_fee": "80.00"}, "0.00", "105.00", None),
    ],
)
def test_the_payment_counts(line: Any, payment: str, discount: str, rounding: str | None) -> None:
    order = order_with(
        orders=[LINES[0] | line, LINES[1]], pay_info={"payment": payment, "post_fee": "10.00"}
    )
    assert isinstance(order, orders.Submission), order
    validation.check(order, channels=("web",), now=NOW, is_from_shop=True)
    assert order.amounts.payable == Decimal(payment)
    assert order.amounts.shop_discount == Decimal(discount)
    rest = [item.unit_price for item in order.items if item.sku == "rounding"]
    assert rest == [Decimal(rounding)] * (rounding is not None) if rounding else rest == []


@pytest.mark.parametrize(
    "changes",
    [
        {"buyer_info": "none", "address_info": [], "remark_info": {"buyer_message": ["x"]}},
        {"buyer_info": {"buyer_id": {}, "fans_id": []}},
        {"orders": [LINES[0] | {"title": ["x"], "sku_id": {}}, LINES[1]]},
    ],
)
def test_no_odd_field_costs_an_order(changes: Any) -> None:
    order = order_with(**changes)
    assert isinstance(order, orders.Submission), order
    assert order.amounts == ORDER.amounts


def test_free_order() -> None:
    """An order of nothing is placed and paid with nothing."""
    content = full("TRADE_PAID")
    content["full_order_info"]["pay_info"] = {"payment": "0.00", "post_fee": "0.00"}
    order, paid = read_events("trade_TradePaid", content)
    assert isinstance(order, orders.Submission)
    assert order.amounts.shop_discount == order.amounts.goods == Decimal("85.00")
    assert isinstance(paid, events.PaymentSucceeded)
    assert paid.amount == 0


@pytest.mark.parametrize("amount", ["0.00", "0.01", "10.01", "88.80", "99999.99"])
def test_simulated_order_is_the_same_at_every_turn(amount: str) -> None:
    """An order simulated as placed and as paid is one order, which can be stored."""
    ours = simulated.create()
    adapter = youzan.adapter(account(*ours.secrets, **ours.options))
    trade = Trade("7G2", "E7G2", Decimal(amount), Decimal("0.00"), "CNY")
    placed, paid = (
        adapter.read(message(each.body, each.headers)).items
        for each in (
            simulated.simulator(ours).message("placed", trade, at=NOW),
            simulated.simulator(ours).message("paid", trade, at=NOW, attempt=1),
        )
    )
    assert isinstance(placed[0].event, orders.Submission)
    assert placed[0].event == paid[0].event
    validation.check(placed[0].event, channels=("web",), now=NOW, is_from_shop=True)
    assert isinstance(paid[1].event, events.PaymentSucceeded)
    assert placed[0].event.amounts.payable == paid[1].event.amount == Decimal(amount)


@pytest.mark.parametrize("msg", [None, "", "%", "%7B", "%zz", "null", 7, [], "%ff%fe", "{" * 9999])
def test_malformed_msg_is_parked(msg: object) -> None:
    """A genuine message whose content cannot be read is parked, not dropped."""
    (event,) = read_events("trade_TradePaid", None, msg=msg)
    assert isinstance(event, events.Unmapped)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"type":"a b","kdt_id":63077}',
        b'{"type":"\\ud800","kdt_id":63077}',
        b'{"type":"' + b"a" * 129 + b'","kdt_id":63077}',
        b'{"kdt_id":' + b"9" * 5000 + b"}",
        b'{"a":' * 20000,
        b"\xff",
    ],
)
def test_malformed_bodies_are_rejected(content: bytes) -> None:
    """A valid signature over content that is not a message is rejected as malformed."""
    assert rejection(ADAPTER, signed(content)) == "malformed"


@given(
    st.sampled_from(
        [
            full("TRADE_SUCCESS"),
            full("TRADE_CLOSED") | {"delivery_order": PARCEL},
            full("WAIT_BUYER_CONFIRM_GOODS") | {"delivery_order": PARCEL},
        ]
    ).flatmap(bent)
)
def test_bent_orders_are_storable_or_rejected(content: Any) -> None:
    """Any content that Youzan could sign about an order is rejected or storable."""
    verdict(ADAPTER, pushed("trade_TradePaid", content, how="object"))


@given(bent(LINES[1]))
def test_bent_lines_are_storable_or_rejected(line: Any) -> None:
    """The same for the lines of an order."""
    content = replaced(full("TRADE_PAID"), ["full_order_info", "orders"], [LINES[0], line])
    verdict(ADAPTER, pushed("trade_TradePaid", content, how="object"))


@given(st.sampled_from(["trade_TradeClose", "trade_refund_RefundSuccess"]), bent(CLOSE | REFUND))
def test_bent_messages_are_storable_or_rejected(kind: str, content: Any) -> None:
    """The same for messages of few words."""
    verdict(ADAPTER, pushed(kind, content, how="object"))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ("accepted", 200, b'{"code":0,"msg":"success"}'),
        ("later", 503, b'{"code":1,"msg":"failed"}'),
        ("rejected", 400, b'{"code":1,"msg":"failed"}'),
    ],
)
def test_replies(answer: contract.Answer, status: int, body: bytes) -> None:
    """Youzan searches for success, so only one reply may contain it."""
    assert ADAPTER.reply(answer) == contract.Reply(status, body, "application/json")
    assert (b"success" in body) is (answer == "accepted")


@pytest.mark.parametrize(
    ("secrets", "options", "says"),
    [
        ((), OPTIONS, "1 or 2 secrets"),
        (("",), OPTIONS, "client_secret"),
        (("short",), OPTIONS, "client_secret"),
        ((" " + SECRET,), OPTIONS, "client_secret"),
        ((SECRET,), {"kdt_ids": ["1"]}, "client_id"),
        ((SECRET,), {"client_id": "c"}, "kdt_ids"),
        ((SECRET,), OPTIONS | {"kdt_ids": []}, "kdt_ids"),
        ((SECRET,), OPTIONS | {"kdt_ids": ["x"]}, "kdt_id"),
        ((SECRET,), OPTIONS | {"refund_types": [""]}, "refund_type"),
        ((SECRET,), OPTIONS | {"kdt_id": "1"}, "kdt_id"),
    ],
)
def test_wrong_configuration(secrets: tuple[str, ...], options: Any, says: str) -> None:
    """A wrong account raises an error that names the setting and hides the secret."""
    with pytest.raises(ValueError, match=says) as caught:
        youzan.adapter(account(*secrets, **options))
    assert not any(secret.strip() and secret in str(caught.value) for secret in secrets)


@pytest.mark.parametrize("channels", [(), ("web", "app")])
def test_needs_one_channel(channels: tuple[str, ...]) -> None:
    """A shop's orders go to one channel."""
    shop = contract.Account("shop", (SECRET,), OPTIONS, channels)
    with pytest.raises(ValueError, match="one channel"):
        youzan.adapter(shop)


@pytest.mark.parametrize(
    "change",
    [
        {"num": "2"}, {"num": 2.0}, {"outer_sku_id": None}, {"outer_sku_id": ""},
        {"total_fee": ""},
    ],
)  # fmt: skip
def test_lines_are_read_however_their_numbers_are_written(change: dict[str, Any]) -> None:
    content = full("TRADE_PAID")
    line = dict(LINES[0])
    content["full_order_info"]["orders"] = [line, LINES[1]]
    plain = read_events("trade_TradePaid", full("TRADE_PAID"))
    if set(change) <= {"num"}:
        change = {"num": type(change["num"])(line["num"])}
    line |= change
    placed, paid = read_events("trade_TradePaid", content)
    assert isinstance(placed, orders.Submission)
    assert paid == plain[1]


def test_freight_of_nothing_may_be_empty() -> None:
    content = full("TRADE_PAID")
    content["full_order_info"]["pay_info"] = FULL["pay_info"] | {"post_fee": ""}
    assert isinstance(read_events("trade_TradePaid", content)[-1], events.PaymentSucceeded)


def test_no_odd_line_costs_the_payment() -> None:
    content = full("TRADE_PAID")
    content["full_order_info"]["orders"] = [{"num": "many", "price": []}]
    placed, paid = read_events("trade_TradePaid", content)
    assert isinstance(placed, events.Unmapped)
    assert isinstance(paid, events.PaymentSucceeded)


def test_an_order_that_cannot_be_read_is_parked_once() -> None:
    """Its shop tells it with every step."""
    keys = []
    for kind, status in (
        ("trade_TradePaid", "TRADE_PAID"),
        ("trade_TradeSuccess", "TRADE_SUCCESS"),
    ):
        content = full(status)
        content["full_order_info"]["orders"] = [{"num": "many", "price": []}]
        items = ADAPTER.read(pushed(kind, content)).items
        keys += [item.key for item in items if isinstance(item.event, events.Unmapped)]
    assert len(keys) == 2
    assert len(set(keys)) == 1


@pytest.mark.parametrize("none", ["", " ", "0000-00-00 00:00:00", None])
def test_a_time_of_nothing_is_no_payment(none: str | None) -> None:
    content = full("TRADE_CLOSED", pay_time=none, consign_time=none, close_type=1)
    _, closed = read_events("trade_TradeClose", content)
    assert isinstance(closed, events.Closed)
    assert closed.cause == "timed_out"
