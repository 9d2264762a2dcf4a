"""`tidegate orders`: orders found, seen and acted on, through a gateway."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway.domain.asking import ACTIONS
from ops.commands import orders as command
from tests.ops.conftest import Cli
from tests.support.site import Site
from tests.web.support import order_bytes


class Orders:
    """Runs `tidegate orders` against a site, with a key."""

    def __init__(self, bare: Cli, site: Site, key: str) -> None:
        self._bare = bare
        self._site = site
        self.key = key

    async def __call__(self, *arguments: str) -> Result:
        variables = {"TIDEGATE_URL": self._site.url, "TIDEGATE_API_KEY": self.key}
        return await asyncio.to_thread(self._bare, "orders", *arguments, **variables)

    async def json(self, *arguments: str) -> Any:
        result = await self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
async def orders(bare: Cli, site: Site) -> Orders:
    key = await site.token_for("operate", "query", name="Li Wei")
    return Orders(bare, site, key)


@pytest.fixture
async def number(site: Site) -> str:
    """Place an order; return its number."""
    status, _ = await site.submit(body := order_bytes(channel="web"))
    assert status == 201
    return str(json.loads(body)["order_no"])


def test_each_action_has_a_command() -> None:
    seeing = {"find", "show", "events", "approvals", "approve", "reject"}
    assert set(command.command.commands) == {*ACTIONS, *seeing}


async def test_an_order_is_found_and_shown(orders: Orders, number: str) -> None:
    found = await orders("find", number)
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[0].split()[:3] == ["ORDER", "CHANNEL", "STATUS"]
    assert number in found.output
    (listed,) = await orders.json("find", "--order-no", number)
    assert (await orders.json("show", listed["id"]))["order_no"] == number
    shown = (await orders("show", number)).output
    assert "possible now: close, hold, make-up-payment, amend, address" in shown
    phone = (await orders.json("find", "--order-no", number))[0]["recipient"]["phone"]
    assert "*" in phone, "masked: the key may not read it"


async def test_what_is_not_there_is_no_success(orders: Orders) -> None:
    for arguments in (("find", "none-1"), ("show", "none-1"), ("hold", "none-1", "--reason", "x")):
        result = await orders(*arguments)
        assert (result.exit_code, "no order" in result.output) == (1, True), result.output


async def test_an_order_is_held_released_and_its_history_says_who(
    orders: Orders, number: str
) -> None:
    held = await orders("hold", number, "--reason", "the address looks wrong")
    assert held.exit_code == 0, held.output
    assert f"order {number} is pending_payment, held as by_person, version 2" in held.output
    assert "release" in held.output
    assert (await orders("release", number, "--reason", "it is right")).exit_code == 0
    told = (await orders("events", number)).output
    assert "Li Wei (key " in told
    assert "the address looks wrong" in told


async def test_a_refusal_says_why_and_what_is_possible(orders: Orders, number: str) -> None:
    result = await orders(
        "ship", number, "--carrier", "SF", "--tracking-no", "SF-1", "--reason", "by hand"
    )
    assert result.exit_code == 1
    assert "ship is not possible while the order is pending_payment" in result.output
    assert "possible now: close, hold" in result.output


async def test_what_takes_two_people_says_what_to_do_next(
    orders: Orders, number: str, bare: Cli, site: Site
) -> None:
    asked = await orders("address", number, "--street", "New Road 2", "--reason", "moved")
    assert asked.exit_code == 0, asked.output
    (word,) = [line for line in asked.output.splitlines() if "orders approve" in line]
    approval = word.split()[3]
    own = await orders("approve", approval, "--reason", "me too")
    assert (own.exit_code, "another person" in own.output) == (1, True)
    listed = (await orders("approvals")).output
    assert (approval in listed, "New Road" in listed) == (True, False)
    second = Orders(bare, site, await site.token_for("operate", "query", name="Zhang San"))
    done = await second("approve", approval, "--reason", "seen")
    assert (done.exit_code, "version 2" in done.output) == (0, True), done.output
    (state,) = [each["state"] for each in await second.json("approvals", "--state", "any")]
    assert state == "applied"


async def test_the_same_key_has_no_second_effect(orders: Orders, number: str) -> None:
    again = ("close", number, "--reason", "called", "--idempotency-key", f"k-{number}")
    first = await orders.json(*again)
    await orders("reopen", number, "--reason", "they want it")
    assert await orders.json(*again) == first
    assert (await orders.json("show", number))["status"] == "pending_payment"


async def test_a_version_that_is_over_is_named(orders: Orders, number: str) -> None:
    result = await orders("hold", number, "--reason", "look", "--if-version", "7")
    assert (result.exit_code, "its version is 1 now" in result.output) == (1, True)


async def test_an_amendment_is_read_from_a_file(
    orders: Orders, number: str, tmp_path: Path
) -> None:
    item = {"sku": "S-1", "name": "Tea", "quantity": 1, "unit_price": "10.00"}
    told = {"items": [item], "amounts": {"goods": "9.00", "payable": "9.00"}}
    file = tmp_path / "amended.json"
    file.write_text(json.dumps(told))
    arguments = ("amend", number, "--file", str(file), "--reason", "one less")
    wrong = await orders(*arguments)
    assert (wrong.exit_code, "amounts.goods is 9.00" in wrong.output) == (2, True), wrong.output
    file.write_text(json.dumps(told | {"amounts": {"goods": "10.00", "payable": "10.00"}}))
    assert (await orders.json(*arguments))["outcome"] == "pending"
    file.write_text("{")
    assert (await orders(*arguments)).exit_code == 2
    file.unlink()
    gone = await orders(*arguments)
    assert (gone.exit_code, "cannot be read: No such file" in gone.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (("show", "W-1"), {}, "an API key is needed"),
        (("show", "W-1", "--url", "nowhere"), {"TIDEGATE_API_KEY": "tg_x"}, "--url must be"),
        (("show", "W-1", "--key-file", "none"), {}, "cannot be read"),
        (("hold", "W-1"), {"TIDEGATE_API_KEY": "tg_x"}, "--reason"),
        (
            ("ship", "W-1", "--carrier", "a", "--tracking-no", "b", "--line", "c", "--reason", "d"),
            {"TIDEGATE_API_KEY": "tg_x"},
            "--line must be SKU=QUANTITY",
        ),
    ],
)
def test_a_wrong_option_is_named(
    bare: Cli, arguments: tuple[str, ...], variables: dict[str, str], words: str
) -> None:
    result = bare("orders", *arguments, TIDEGATE_URL="http://127.0.0.1:9", **variables)
    assert (result.exit_code, words in result.output) == (2, True), result.output


def test_no_gateway_is_a_failure_that_says_so(bare: Cli) -> None:
    result = bare("orders", "show", "W-1", "--url", "http://127.0.0.1:9", TIDEGATE_API_KEY="tg_x")
    assert (result.exit_code, "no gateway answers" in result.output) == (1, True)
