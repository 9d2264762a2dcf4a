"""POST /v1/orders that look like others: a double click is an alias, all else is stored."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from gateway.runtime.settings import Account, Channel, Settings
from loadtest.deployment import CHANNELS
from loadtest.payers.contract import Payment
from tests.support.payers import Payers
from tests.support.site import Site
from tests.web.support import Answer, Wire, order

Ledger: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

HOLD, REPLAY, OFF = CHANNELS


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[Account]:
    return payers.settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    channels = [Channel(HOLD, "hold"), Channel(REPLAY, "replay"), Channel(OFF, "off")]
    return msgspec.structs.replace(settings, channels=channels)


def twins(count: int = 2, **changes: Any) -> list[dict[str, Any]]:
    """Return orders of one buyer, goods, amount and phone, each with a number of its own."""
    first = order(**changes)
    return [first | {"order_no": f"{first['order_no']}-{n}"} for n in range(count)]


async def submit(wire: Wire, content: dict[str, Any], key: str = "") -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await wire.submit(json.dumps(content).encode(), headers)


async def passed(ledger: Ledger, seconds: float) -> None:
    """Let so many seconds go by for every window."""
    await ledger.execute(
        "UPDATE fingerprints SET expires_at = expires_at - $1::interval",
        timedelta(seconds=seconds),
    )


async def listed(wire: Wire, order_no: str, **more: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in {"order_no": order_no, **more}.items())
    answer = await wire.ask("GET", f"/v1/orders?{query}")
    assert answer.status == 200
    found: list[dict[str, Any]] = answer.json["orders"]
    return found


async def history(wire: Wire, id_: str) -> list[dict[str, Any]]:
    answer = await wire.ask("GET", f"/v1/orders/{id_}/events")
    lines: list[dict[str, Any]] = answer.json["events"]
    return lines


async def numbers(ledger: Ledger, *sent: dict[str, Any]) -> list[str]:
    """Return which of these numbers are of orders and not of aliases."""
    rows = await ledger.fetch(
        "SELECT order_no FROM orders WHERE order_no = ANY ($1) ORDER BY order_no",
        [each["order_no"] for each in sent],
    )
    return [number for (number,) in rows]


@pytest.mark.parametrize("channel", [HOLD, REPLAY, OFF])
async def test_a_double_click_is_answered_with_the_first_and_its_number_finds_it(
    both_paths: Wire, ledger: Ledger, channel: str
) -> None:
    first, second = twins(channel=channel)
    placed, clicked = [await submit(both_paths, each) for each in (first, second)]
    assert (placed.status, clicked.status) == (201, 200)
    assert clicked.json == placed.json
    assert clicked.headers["idempotency-replayed"] == "true"
    assert await numbers(ledger, first, second) == [first["order_no"]]
    for number in (first["order_no"], second["order_no"]):
        for more in ({}, {"channel": channel}):
            assert [each["id"] for each in await listed(both_paths, number, **more)] == [
                placed.json["id"]
            ]
    lines = await history(both_paths, placed.json["id"])
    assert [(line["action"], line["detail"]) for line in lines] == [
        ("placed", None),
        ("order_no_added", f"order {second['order_no']} is this order"),
    ]


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "after all windows"])
@pytest.mark.parametrize("has_cache", [True, False], ids=["cached", "from the ledger"])
async def test_the_number_of_an_alias_is_taken_for_good(
    both_paths: Wire,
    site: Site,
    valkey: Any,
    ledger: Ledger,
    is_late: bool,
    has_cache: bool,
) -> None:
    first, second = twins()
    placed = await submit(both_paths, first)
    await submit(both_paths, second)
    await site.gateway.committer.drain()
    if not has_cache:
        valkey.flushall()
    if is_late:
        await passed(ledger, 3600)
    again = await submit(both_paths, second)
    assert (again.status, again.json) == (200, placed.json)
    # With a key for the first time: the number decides.
    keyed = await submit(both_paths, second, "k-" + second["order_no"])
    assert (keyed.status, keyed.json) == (200, placed.json)
    other = await submit(both_paths, second | {"remark": "another"})
    assert other.status == 409
    assert other.json["context"]["existing"]["id"] == placed.json["id"]
    assert other.json["context"]["existing"]["order_no"] == first["order_no"]
    changed = await submit(both_paths, second | {"buyer_id": "somebody else"})
    assert changed.status == 409
    assert await numbers(ledger, first, second) == [first["order_no"]]


@pytest.mark.parametrize("seconds", [10.5, 300, 599])
@pytest.mark.parametrize(
    ("channel", "status", "hold"),
    [(HOLD, 201, "lookalike"), (REPLAY, 200, None), (OFF, 201, None)],
)
@pytest.mark.parametrize("has_key", [False, True], ids=["no key", "another key"])
async def test_what_is_no_double_click_goes_by_the_policy_of_its_channel(
    both_paths: Wire,
    ledger: Ledger,
    seconds: float,
    channel: str,
    status: int,
    hold: str | None,
    has_key: bool,
) -> None:
    first, second = twins(channel=channel)
    placed = await submit(both_paths, first)
    await passed(ledger, seconds)
    key = f"k-{second['order_no']}" if has_key else ""
    answer = await submit(both_paths, second, key)
    assert (answer.status, answer.json["hold"]) == (status, hold)
    is_alias = status == 200
    assert (answer.json["id"] == placed.json["id"]) is is_alias
    assert len(await numbers(ledger, first, second)) == 2 - is_alias
    (found,) = await listed(both_paths, second["order_no"])
    assert found["id"] == answer.json["id"]
    # What it was answered it is answered again.
    again = await submit(both_paths, second, key)
    assert (again.status, again.json) == (200, answer.json)
    if hold:
        (line,) = await history(both_paths, answer.json["id"])
        assert (line["reason"], line["detail"]) == (
            "lookalike",
            f"looks like order {first['order_no']}",
        )


async def test_another_key_at_once_is_another_order_by_the_policy(both_paths: Wire) -> None:
    """Who sends a key says himself what is one request."""
    first, second = twins()
    placed = await submit(both_paths, first, f"k-{first['order_no']}")
    held = await submit(both_paths, second, f"k-{second['order_no']}")
    assert (placed.status, held.status, held.json["hold"]) == (201, 201, "lookalike")


@pytest.mark.parametrize("has_cache", [True, False], ids=["cached", "from the ledger"])
async def test_the_key_of_an_alias_is_a_key_like_others(
    both_paths: Wire, site: Site, valkey: Any, has_cache: bool
) -> None:
    """Where look-alikes are replayed, one with a key is an alias by its number and by its key."""
    first, second, third = twins(3, channel=REPLAY)
    placed = await submit(both_paths, first)
    key = f"k-{second['order_no']}"
    assert (await submit(both_paths, second, key)).json == placed.json
    await site.gateway.committer.drain()
    if not has_cache:
        valkey.flushall()
    assert (await submit(both_paths, second, key)).json == placed.json
    for other in (third, second | {"remark": "x"}, order(channel=REPLAY)):
        reused = await submit(both_paths, other, key)
        assert (reused.status, reused.json["type"]) == (422, "/problems/key-reused")
    # In another channel it is another key.
    elsewhere = await submit(both_paths, order(channel=HOLD), key)
    assert elsewhere.status == 201


@pytest.mark.parametrize("seconds", [-3600, -11, 11, 86400])
async def test_a_backlog_that_is_handed_over_in_a_moment_holds_no_double_clicks(
    both_paths: Wire, seconds: int
) -> None:
    """Its orders were placed apart, whenever they arrive."""
    first, second, third = twins(3)
    at = datetime.fromisoformat(first["placed_at"])
    second["placed_at"] = (at + timedelta(seconds=seconds)).isoformat()
    third["placed_at"] = (at + timedelta(seconds=5)).isoformat()
    answers = [await submit(both_paths, each) for each in (first, second, third)]
    assert [each.status for each in answers] == [201, 201, 200]
    assert [each.json["hold"] for each in answers] == [None, "lookalike", None]


@pytest.mark.parametrize("others", [1, 2, 5])
async def test_every_click_of_many_has_its_number(both_paths: Wire, others: int) -> None:
    clicks = twins(others + 1)
    answers = [await submit(both_paths, each) for each in clicks]
    assert [each.status for each in answers] == [201] + [200] * others
    assert len({each.json["id"] for each in answers}) == 1
    for each in clicks:
        assert [found["id"] for found in await listed(both_paths, each["order_no"])] == [
            answers[0].json["id"]
        ]


@pytest.mark.parametrize(
    "changes",
    [
        {"buyer_id": "another"},
        {"recipient": {"phone": "13900000001"}},
        {"items": 2},
        {"is_test": True},
        {"channel": "app"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_what_does_not_look_like_the_first_is_another_order(
    both_paths: Wire, changes: dict[str, Any]
) -> None:
    first, second = twins()
    if "items" in changes:
        item = first["items"][0]
        changes = {"items": [{**item, "sku": "another"}, *first["items"][1:]]}
    if "recipient" in changes:
        changes = {"recipient": first["recipient"] | changes["recipient"]}
    await submit(both_paths, first)
    answer = await submit(both_paths, second | changes)
    assert (answer.status, answer.json["hold"]) == (201, None)


async def test_the_fourth_of_the_same_goods_says_so_though_it_looks_like_the_first(
    both_paths: Wire,
) -> None:
    """Both rules apply: the graver one holds it, and its history says both."""
    alike = twins(5)
    answers = [await submit(both_paths, each, f"k-{each['order_no']}") for each in alike]
    assert [each.json["hold"] for each in answers] == [
        None, "lookalike", "lookalike", "suspected_brushing", "suspected_brushing",
    ]  # fmt: skip
    details = [(await history(both_paths, each.json["id"]))[0]["detail"] for each in answers]
    looks, rush = f"looks like order {alike[0]['order_no']}", "four orders of the same goods"
    assert details == [None, looks, looks, *[f"{looks}; {rush} in five minutes"] * 2]


async def test_with_other_phones_only_the_goods_count(both_paths: Wire) -> None:
    first, *others = twins(4)
    answers = [await submit(both_paths, first)]
    for n, other in enumerate(others):
        recipient = other["recipient"] | {"phone": f"1390000000{n}"}
        answers.append(await submit(both_paths, other | {"recipient": recipient}))
    assert [each.json["hold"] for each in answers] == [None, None, None, "suspected_brushing"]
    (line,) = await history(both_paths, answers[3].json["id"])
    assert line["detail"] == "four orders of the same goods in five minutes"


async def test_clicks_are_not_counted_as_orders_of_the_same_goods(both_paths: Wire) -> None:
    alike = twins(6)
    for each in alike[:5]:
        await submit(both_paths, each)
    recipient = alike[5]["recipient"] | {"phone": "13900000009"}
    assert (await submit(both_paths, alike[5] | {"recipient": recipient})).json["hold"] is None


@pytest.mark.parametrize("by", [0, 1], ids=["the first number", "the alias"])
@pytest.mark.parametrize("account", range(len(CHANNELS)), ids=CHANNELS)
@pytest.mark.parametrize("is_early", [False, True], ids=["after", "before the order"])
async def test_a_payment_of_either_number_pays_the_order(
    wire: Wire, payers: Payers, account: int, by: int, is_early: bool
) -> None:
    """The storefront shows the buyer the number of either click."""
    payer = payers.accounts[account]
    clicks = twins(channel=CHANNELS[account])
    due = Decimal(clicks[0]["amounts"]["payable"]).quantize(Decimal("0.01"))
    payment = Payment(clicks[by]["order_no"], clicks[by]["order_no"], due, clicks[by]["currency"])

    async def pay() -> None:
        posted = payer.pay(payment).sign()
        path = f"/v1/callbacks/{payer.provider}/main"
        answer = await wire.ask("POST", path, posted.body, dict(posted.headers))
        assert payer.is_acknowledged(answer.status, answer.body)

    if is_early:
        await pay()
    answers = [await submit(wire, each) for each in clicks]
    if not is_early:
        await pay()
    (found,) = await listed(wire, clicks[1 - by]["order_no"])
    assert (found["id"], found["status"], found["amounts"]["paid"]) == (
        answers[0].json["id"],
        "paid",
        str(due),
    )
