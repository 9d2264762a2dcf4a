"""The masked view of a message: its structure and numbers stay, what may be private does not."""

import json
from urllib.parse import quote

import pytest

from gateway.domain import masking

PRIVATE = ("Zhang San", "张三", "13800138000", "+86 138 0013 8000", "Longjing Road 1", "a@b.cn",
           "330106199001011234", "4111111111111111")  # fmt: skip
TRANSACTION = "4200001234202611231234567890"
MESSAGE = {
    "id": "evt_1",
    "type": "payment.succeeded",
    "created": 1764000000,
    "livemode": True,
    "data": {
        "order_no": "W-1001",
        "transaction_id": TRANSACTION,
        "amount": {"total": 19900, "currency": "CNY"},
        "payer": {"name": "Zhang San", "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "shipping": {"address": {"street": "Longjing Road 1", "phone": 13800138000}},
        "note": "call 13800138000",
        "id_card": "330106199001011234",
        "contact": ["张三", "a@b.cn", {"tel": "+86 138 0013 8000"}],
        "pan": 4111111111111111,
        "13800138000": "x",
    },
}


def test_structure_and_numbers_stay() -> None:
    shown = masking.masked(json.dumps(MESSAGE).encode())
    assert set(shown) == set(MESSAGE)
    assert (shown["id"], shown["type"], shown["created"]) == (
        "evt_1", "payment.succeeded", 1764000000,
    )  # fmt: skip
    data = shown["data"]
    assert (data["order_no"], data["transaction_id"]) == ("W-1001", TRANSACTION)
    assert data["amount"] == {"total": 19900, "currency": "CNY"}
    assert len(data["contact"]) == 3


@pytest.mark.parametrize("private", PRIVATE)
@pytest.mark.parametrize("way", ["json", "form", "json in a form", "escaped json in json"])
def test_nothing_private_is_shown(private: str, way: str) -> None:
    text = json.dumps(MESSAGE, ensure_ascii=False)
    body = {
        "json": text,
        "form": "&".join(f"{quote(name)}={quote(each)}" for name, each in
                         [("buyer_name", private), ("odd", private), ("out_trade_no", "W-1001")]),
        "json in a form": f"sign=abc&param={quote(text)}",
        "escaped json in json": json.dumps({"msg": quote(text), "type": "trade_TradePaid"}),
    }[way]  # fmt: skip
    shown = json.dumps(masking.masked(body.encode()), ensure_ascii=False)
    assert private not in shown
    assert "W-1001" in shown


def test_what_is_known_stays_clear_whatever_its_field() -> None:
    assert masking.masked(b'{"odd": "W 1/2"}', clear=["W 1/2"]) == {"odd": "W 1/2"}
    assert masking.masked(b'{"odd": "W 1/2"}') == {"odd": "W****"}


@pytest.mark.parametrize("body", [b"\xff\xfe", b"plain text", b"", b"[" * 5000])
def test_what_cannot_be_read_is_described(body: bytes) -> None:
    assert masking.masked(body) == f"{len(body)} bytes that are neither JSON nor a form"


def test_depth_is_bounded() -> None:
    deep = b'{"a":' * 200 + b'"Zhang San"' + b"}" * 200
    assert "Zhang" not in json.dumps(masking.masked(deep))


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("national_id", "110101199001011234"), ("order_no", "11010119900101123X"),
        ("cell_no", "+86-13800138000"), ("ref_no", "8613800138000"),
        ("ref_no", "13800138000-1234"), ("order_reference", "ZhangSan-13800138000"),
        ("shipping_method", "+1-415-555-0100"), ("deliver_to", "Zhangsan"),
        ("deliveryTo", "Zhangsan"), ("delivery", "Zhangsan"), ("shopper", "Zhangsan"),
        ("member_id", "zhangsan"), ("wechat_id", "zhang_san1990"), ("paid_by", "Zhangsan"),
        ("createdBy", "Zhangsan"), ("invoice_to", "Zhangsan"), ("charge_to", "Zhangsan"),
    ],
)  # fmt: skip
def test_a_field_that_sounds_harmless_does_not_show_a_person(name: str, private: str) -> None:
    assert private not in json.dumps(masking.masked(json.dumps({name: private}).encode()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tid", "4166666666666666666"), ("notify_id", "2026113000222"), ("charge", "ch_3P1"),
        ("invoice", "in_1Mt"), ("livemode", "true"), ("cancelled_amount", "10.00"),
        ("shop_id", "123456"), ("transaction_id", TRANSACTION), ("time_ms", 1764000000000),
        ("refunded_at", "2026-11-30T10:00:00Z"), ("success_time", "20261130101010"),
    ],
)  # fmt: skip
def test_what_a_person_works_with_stays(name: str, value: object) -> None:
    assert masking.masked(json.dumps({name: value}).encode()) == {name: value}
