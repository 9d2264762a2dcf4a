"""An order paid in parts, as its readers see it; lists of what is held; releases."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest

from gateway.runtime import settings as configuration
from loadtest.payers.contract import Payer
from tests.support.payers import Payers
from tests.support.site import Site
from tests.web.support import Answer, Wire, order
from tests.web.test_callbacks import payment_of, post

STRIPE = 0


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[configuration.Account]:
    return payers.settings


@pytest.fixture
def payer(payers: Payers) -> Payer:
    return payers.accounts[STRIPE]


async def place(wire: Wire, content: Mapping[str, Any], *headers: tuple[str, str]) -> str:
    answer = await wire.submit(json.dumps(content).encode(), headers)
    assert answer.status == 201, answer
    return str(answer.json["id"])


async def shown(wire: Wire, id_: str) -> dict[str, Any]:
    answer = await wire.ask("GET", f"/v1/orders/{id_}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


async def listed(wire: Wire, **query: str) -> list[str]:
    answer = await wire.ask("GET", f"/v1/orders?{urlencode(query)}")
    assert answer.status == 200, answer
    return [each["order_no"] for each in answer.json["orders"]]


async def pay(wire: Wire, payer: Payer, content: Mapping[str, Any], amount: Decimal) -> None:
    answer = await post(wire, payer, payer.pay(payment_of(content, str(amount))))
    assert payer.is_acknowledged(answer.status, answer.body)


def due(content: Mapping[str, Any]) -> Decimal:
    return Decimal(content["amounts"]["payable"])


async def test_parts_are_shown_found_and_add_up(wire: Wire, payer: Payer) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    first = Decimal("0.01")
    await pay(wire, payer, content, first)
    part = await shown(wire, id_)
    assert (part["status"], part["amounts"]["paid"], part["amounts"]["owed"]) == (
        "pending_payment", "0.01", "0.00",
    )  # fmt: skip
    assert content["order_no"] in await listed(wire, is_part_paid="true")
    assert content["order_no"] not in await listed(wire, is_part_paid="false")
    await pay(wire, payer, content, due(content) - first)
    whole = await shown(wire, id_)
    assert (whole["status"], whole["hold"]) == ("paid", None)
    assert [each["standing"] for each in whole["payments"]] == ["applied", "applied"]
    assert {each["provider"] for each in whole["payments"]} == {"stripe"}
    assert {each["account"] for each in whole["payments"]} == {"main"}
    total = sum(Decimal(each["amount"]) for each in whole["payments"])
    assert total == Decimal(whole["amounts"]["paid"]) == due(content)
    assert content["order_no"] not in await listed(wire, is_part_paid="true")


async def test_a_surplus_is_named_and_found_by_its_hold(wire: Wire, payer: Payer) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    await pay(wire, payer, content, due(content) + Decimal("2.50"))
    found = await shown(wire, id_)
    assert (found["status"], found["hold"], found["amounts"]["owed"]) == (
        "paid", "overpaid", "2.50",
    )  # fmt: skip
    assert content["order_no"] in await listed(wire, hold="overpaid")
    assert content["order_no"] in await listed(wire, hold="any")
    assert content["order_no"] not in await listed(wire, hold="disputed")


@pytest.mark.parametrize("query", ["hold=odd", "is_part_paid=maybe", "is_part_paid=1"])
async def test_an_unknown_filter_value_is_named(wire: Wire, query: str) -> None:
    answer = await wire.ask("GET", f"/v1/orders?{query}")
    assert (answer.status, answer.fields) == (422, [query.partition("=")[0]])


# --- releases ---


async def lookalike(wire: Wire) -> tuple[str, dict[str, Any]]:
    """Place two orders of the same goods and buyer; return the second, which is held."""
    content = order(channel="web")
    await place(wire, content, ("Idempotency-Key", f"first-{content['order_no']}"))
    second = content | {"order_no": content["order_no"] + "-2"}
    key = ("Idempotency-Key", f"second-{content['order_no']}")
    return await place(wire, second, key), second


async def release(wire: Wire, id_: str, body: object) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await wire.ask("POST", f"/v1/orders/{id_}/release", content)


async def test_a_held_order_is_released_once_and_says_why(wire: Wire, payer: Payer) -> None:
    id_, content = await lookalike(wire)
    await pay(wire, payer, content, due(content))
    assert (await shown(wire, id_))["hold"] == "lookalike"
    answer = await release(wire, id_, {"reason": "called the buyer"})
    assert (answer.status, answer.json["hold"], answer.json["status"]) == (200, None, "paid")
    again = await release(wire, id_, {"reason": "once more"})
    assert (again.status, again.json) == (200, answer.json)
    events = (await wire.ask("GET", f"/v1/orders/{id_}/events")).json["events"]
    told = [(each["action"], each["detail"]) for each in events if each["action"] == "released"]
    assert told == [("released", "called the buyer")]


async def test_the_hand_off_is_told_when_the_hold_ends(
    wire: Wire, payer: Payer, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    id_, content = await lookalike(wire)
    await pay(wire, payer, content, due(content))
    await release(wire, id_, {"reason": "two real orders"})
    topics = await ledger.fetch(
        "SELECT topic FROM outbox WHERE order_id::text = $1 ORDER BY version", id_
    )
    assert [row["topic"] for row in topics] == ["order.placed", "order.changed", "order.paid"]


async def test_a_release_leaves_holds_of_money(wire: Wire, payer: Payer) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    await pay(wire, payer, content, due(content) + 1)
    answer = await release(wire, id_, {"reason": "it is fine"})
    assert (answer.status, answer.json["hold"]) == (200, "overpaid")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"reason": ""}, 422),
        ({"reason": "   "}, 422),
        ({"reason": "x" * 257}, 422),
        ({"reason": "a\nb"}, 422),
        ({"reason": "x", "more": 1}, 422),
        (b"{", 400),
        (b"x" * 20_000, 413),
    ],
    ids=str,
)
async def test_a_release_without_a_plain_reason_is_refused(
    wire: Wire, body: object, status: int
) -> None:
    id_ = await place(wire, order(channel="web"))
    assert (await release(wire, id_, body)).status == status


async def test_an_unknown_order_and_a_key_that_may_not_are_refused(wire: Wire, site: Site) -> None:
    missing = "01a209e1-6c1b-7a30-8fca-993ca3def24d"
    assert (await release(wire, missing, {"reason": "x"})).status == 404
    assert (await release(wire, "no-id", {"reason": "x"})).status == 404
    id_ = await place(wire, order(channel="web"))
    storefront = Wire(site.host, site.port, await site.token_for("ingest", "query"))
    assert (await release(storefront, id_, {"reason": "x"})).status == 403


async def test_the_number_of_a_double_click_is_shown_with_its_order(wire: Wire) -> None:
    content = order(channel="web")
    id_ = await place(wire, content)
    again = await wire.submit(
        json.dumps(content | {"order_no": content["order_no"] + "-b"}).encode()
    )
    assert (again.status, again.json["id"]) == (200, id_)
    assert (await shown(wire, id_))["aliases"] == [content["order_no"] + "-b"]
