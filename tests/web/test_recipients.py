"""Orders without an address, a telephone or freight, where their channel takes them."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest

from gateway.runtime.settings import Channel, Settings
from tests.support.site import Site
from tests.web.support import Wire, order

_NOBODY: list[Any] = [None, {"country": "CN"}, {"country": "CN", "name": "", "phone": ""}]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    channels = [Channel("web"), Channel("app", recipient="optional")]
    return msgspec.structs.replace(settings, channels=channels)


@pytest.fixture
def wire(both_paths: Wire) -> Wire:
    return both_paths


def bare(recipient: Any = None, *, channel: str = "app", **changes: Any) -> dict[str, Any]:
    """Return an order of a download: 9.00, no freight, and this recipient; ``...`` is not sent."""
    line = {"sku": "EBOOK-1", "name": "Book", "quantity": 1, "unit_price": "9.00"}
    amounts = {"goods": "9.00", "payable": "9.00"}
    sent = order(channel=channel, items=[line], **changes)
    sent |= {"amounts": amounts, "recipient": recipient}
    if recipient is ...:
        del sent["recipient"]
    return sent


async def placed(wire: Wire, sent: dict[str, Any]) -> str:
    """Submit a new order; return where it is."""
    answer = await wire.submit(json.dumps(sent).encode())
    assert answer.status == 201, answer
    return answer.headers["location"]


@pytest.mark.parametrize("recipient", [..., None])
async def test_an_order_for_nobody_is_stored_and_shown(wire: Wire, recipient: Any) -> None:
    read = (await wire.ask("GET", await placed(wire, bare(recipient)))).json
    assert (read["recipient"], read["unreadable"]) == (None, [])
    assert read["amounts"]["payable"] == "9.00"


async def test_an_order_of_a_pick_up_has_a_name_and_a_telephone_to_be_found_by(
    site: Site, wire: Wire
) -> None:
    to = {"country": "CN", "name": "Zhang San", "phone": "138 7777 0001"}
    sent = bare(to)
    read = (await wire.ask("GET", await placed(wire, sent))).json
    assert (read["recipient"]["name"], read["recipient"]["street"]) == ("Zhang San", None)
    masked = Wire(wire.host, wire.port, await site.token_for("query"))
    answer = await masked.ask("GET", "/v1/orders?phone=%2B8613877770001")
    found = {each["order_no"]: each["recipient"] for each in answer.json["orders"]}
    assert found[sent["order_no"]] == {
        "name": "Z**",
        "phone": "138****0001",
        "country": "CN",
        "province": "",
        "city": "",
        "district": "",
        "street": None,
        "postcode": None,
        "id_number": None,
    }


@pytest.mark.parametrize("recipient", _NOBODY)
async def test_it_is_in_lists_and_in_the_export_with_empty_cells(
    wire: Wire, recipient: Any
) -> None:
    sent = bare(recipient)
    await placed(wire, sent)
    listed = (await wire.ask("GET", f"/v1/orders?order_no={sent['order_no']}")).json["orders"]
    assert [each["order_no"] for each in listed] == [sent["order_no"]]
    answer = await wire.ask("GET", f"/v1/orders/export?order_no={sent['order_no']}")
    (row,) = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    assert (row["recipient_name"], row["recipient_phone"], row["street"]) == ("", "", "")
    assert row["country"] == ("CN" if recipient else "")


@pytest.mark.parametrize("recipient", [..., *_NOBODY])
async def test_a_repeat_is_one_and_a_double_click_too(wire: Wire, recipient: Any) -> None:
    sent = bare(recipient)
    first = await wire.submit(json.dumps(sent).encode())
    again = await wire.submit(json.dumps(sent).encode())
    assert (again.status, again.body) == (200, first.body)
    twice = sent | {"order_no": sent["order_no"] + "-2"}
    other = await wire.submit(json.dumps(twice).encode())
    assert (other.status, other.json["id"]) == (200, first.json["id"])
    else_ = sent | {"order_no": sent["order_no"] + "-3", "buyer_id": sent["buyer_id"] + "-3"}
    assert (await wire.submit(json.dumps(else_).encode())).status == 201


@pytest.mark.parametrize(
    ("recipient", "fields"),
    [
        (..., ["recipient"]),
        (None, ["recipient"]),
        (
            {"country": "CN"},
            ["recipient.name", "recipient.phone", "recipient.street"],
        ),
        ({"phone": "13800138000", "country": "CN", "name": "A"}, ["recipient.street"]),
    ],
)
async def test_every_other_channel_asks_for_all_of_it(
    wire: Wire, recipient: Any, fields: list[str]
) -> None:
    answer = await wire.submit(json.dumps(bare(recipient, channel="web")).encode())
    assert (answer.status, answer.fields) == (422, fields)
    # All faults at once, beside one of its shape.
    wrong = bare(recipient, channel="web", buyer_id=7)
    answer = await wire.submit(json.dumps(wrong).encode())
    assert (answer.status, sorted(answer.fields)) == (422, sorted([*fields, "buyer_id"]))


@pytest.mark.parametrize(
    ("recipient", "field"),
    [(7, "recipient"), ({"name": "A"}, "recipient.country"), ({"country": "CN", "x": 1},
     "recipient.x")],
)  # fmt: skip
async def test_what_is_no_recipient_at_all_is_rejected(
    wire: Wire, recipient: Any, field: str
) -> None:
    answer = await wire.submit(json.dumps(bare(recipient)).encode())
    assert (answer.status, answer.fields) == (422, [field])
