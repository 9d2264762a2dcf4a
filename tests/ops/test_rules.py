"""`tidegate rules`: rules are read as a start reads them, and tried without any trace."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from tests.domain.support import order_bytes, submission
from tests.ops.conftest import Cli
from tests.stores.support import Database, counts, submit

_RULES = """
[[rules]]
name = "bad"
kind = "blocked"
phones = ["+8613800138000"]

[[rules]]
name = "five-an-hour"
kind = "limit"
orders_max = 4
window_s = 3600

[[rules]]
name = "dear"
kind = "expression"
when = 'payable_minor > 100000 and name != null'
stops_hand_off = false

[[rules]]
name = "all"
kind = "route"
warehouse = "hz-1"
"""


@pytest.fixture
def configured(tmp_path: Path) -> str:
    path = tmp_path / "rules.toml"
    path.write_text(_RULES)
    return str(path)


def _order(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "order.json"
    path.write_bytes(order_bytes(1, **changes))
    return str(path)


def test_rules_are_listed_without_the_numbers_they_have(bare: Cli, configured: str) -> None:
    done = bare("rules", "list", "--wide", TIDEGATE_CONFIG=configured)
    assert done.exit_code == 0
    assert "1 configured" in done.output and "13800138000" not in done.output
    plain = json.loads(bare("rules", "list", "--json", TIDEGATE_CONFIG=configured).output)
    assert [each["name"] for each in plain] == ["bad", "five-an-hour", "dear", "all"]
    assert "13800138000" not in str(plain)
    assert bare("rules", "check", TIDEGATE_CONFIG=configured).output == "4 rules, all well\n"
    checked = json.loads(bare("rules", "check", "--json", TIDEGATE_CONFIG=configured).output)
    assert checked["rules"] == [each["name"] for each in plain]


def test_a_wrong_rule_is_named_and_ends_with_two(bare: Cli, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(_RULES.replace("payable_minor >", "payable >"))
    done = bare("rules", "check", TIDEGATE_CONFIG=str(path))
    assert done.exit_code == 2
    assert "dear (rule 3): when: there is no payable; is it payable_minor?" in done.output


def test_an_order_is_tried_and_its_findings_are_masked(
    bare: Cli, configured: str, tmp_path: Path
) -> None:
    order = _order(tmp_path, recipient={"phone": "13800138000"})
    done = bare("rules", "try", order, "--json", TIDEGATE_CONFIG=configured)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.output)
    assert (shown["hold"], shown["warehouse"], shown["carrier"]) == ("screened", "hz-1", None)
    assert [each["rule"] for each in shown["findings"]] == ["bad", "all"]
    assert [each["rule"] for each in shown["counted"]] == ["five-an-hour"]
    assert "13800138000" not in done.output
    text = bare("rules", "try", order, TIDEGATE_CONFIG=configured).output
    assert "held until a person releases it" in text and "+86****8000" in text
    assert "what was bought before is not known here" in text


def test_a_limit_that_an_order_exceeds_alone_holds_it(bare: Cli, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    limit = 'kind = "limit"\nwindow_s = 60\npieces_max = '
    path.write_text(f'[[rules]]\nname = "few"\n{limit}1\n[[rules]]\nname = "more"\n{limit}9\n')
    item = {"sku": "S-1", "name": "Tea", "quantity": 2, "unit_price": "10.00"}
    order = _order(tmp_path, items=[item], amounts={"goods": "20.00", "payable": "20.00"})
    done = bare("rules", "try", order, "--json", TIDEGATE_CONFIG=str(path))
    assert done.exit_code == 0, done.output
    shown = json.loads(done.output)
    assert shown["hold"] == "screened"
    assert [(each["rule"], each["outcome"]) for each in shown["findings"]] == [("few", "held")]
    assert [each["rule"] for each in shown["counted"]] == ["more"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        ((), 2, "give the file"),
        (("order.json", "--last", "3"), 2, "give the file"),
        (("nowhere.json",), 1, "cannot be read"),
        (("none.json",), 1, "is not an order"),
        (("unfit.json",), 1, "recipient.city is required"),
    ],
)
def test_what_cannot_be_tried_is_said(
    bare: Cli, tmp_path: Path, arguments: tuple[str, ...], exit_code: int, says: str
) -> None:
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "unfit.json").write_bytes(order_bytes(1, recipient={"city": ""}))
    done = bare("rules", "try", *arguments)
    assert done.exit_code == exit_code
    assert says in done.output


async def test_stored_orders_are_tried_and_stay_as_they_are(
    cli: Cli, settings: Settings, ledger: Database, configured: str
) -> None:
    async with open_gateway(settings) as gateway:
        for n in range(1, 7):
            await submit(
                gateway, submission(n, buyer_id="b", recipient={"phone": f"1390000000{n}"})
            )
        await submit(gateway, submission(9, recipient={"phone": "13800138000"}))
    await ledger.execute("UPDATE orders SET private = '\\x01' WHERE order_no = 'lt-00000006'")
    before = await counts(ledger)
    done = await asyncio.to_thread(
        cli, "rules", "try", "--last", "100", "--json", TIDEGATE_CONFIG=configured
    )
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["orders"], shown["unreadable"], shown["became"]["screened"]) == (6, 1, 2)
    held = {each["rule"]: each["orders"] for each in shown["rules"] if each["outcome"] == "held"}
    assert held == {"bad": 1, "five-an-hour": 1}
    assert shown["warehouses"] == {"hz-1": 6}
    assert await counts(ledger) == before
    assert await ledger.fetchval("SELECT count(*) FROM purchases") == 0
    text = await asyncio.to_thread(cli, "rules", "try", "--last", "3", TIDEGATE_CONFIG=configured)
    assert "Zhang" not in text.output and "13800138000" not in text.output
    assert msgspec.json.decode(done.stdout)["mean_us"] > 0
