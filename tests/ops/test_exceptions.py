"""`tidegate exceptions`, against a real database."""

import asyncio
import json
from typing import Any

import pytest

from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from tests.domain.support import due
from tests.ops.conftest import Cli
from tests.stores.support import submit


@pytest.fixture
async def order_no(settings: Settings) -> str:
    async with open_gateway(settings) as gateway:
        await submit(gateway, due(1, order_no="W-1"), "k-1")
    return "W-1"


async def test_a_case_goes_from_opened_to_resolved(cli: Cli, order_no: str) -> None:
    def run(*arguments: str) -> Any:
        done = cli("exceptions", *arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    def story() -> None:
        case = run("open", order_no, "invoice", "wants a VAT invoice")
        assert (case["kind"], case["order_no"], case["owner"]) == ("invoice", "W-1", "")
        assert run("assign", case["id"], "finance")["owner"] == "finance"
        run("comment", case["id"], "called the buyer")
        assert [each["id"] for each in run("list", "--owner", "finance")] == [case["id"]]
        assert run("list", "--overdue") == []
        run("due", case["id"], "3d")
        assert run("resolve", case["id"], "sent it")["resolved_at"]
        assert run("list") == []
        shown = run("show", case["id"])
        assert [each["message"] for each in shown["entries"]] == [
            "wants a VAT invoice", "", "called the buyer", "", "sent it",
        ]  # fmt: skip
        (row,) = run("report")
        assert (row["kind"], row["open"], row["resolved"]) == ("invoice", 0, 1)
        assert run("reopen", case["id"], "it was the wrong one")["relapses"] == 1
        # For people: what to do, and who did what.
        text = cli("exceptions", "show", case["id"]).output
        assert "finance" in text and "called the buyer" in text
        assert case["id"] in cli("exceptions", "list").output
        assert "invoice" in cli("exceptions", "report").output

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("show", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"), 1, "tidegate exceptions list"),
        (("show", "seven"), 2, "UUID"),
        (("open", "W-9", "invoice", "x"), 1, "no order has the number or id W-9"),
        (("open", "W-1", "weather", "x"), 2, "weather"),
        (("due", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10", "soon"), 2, "30m"),
        (("comment", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10", " "), 2, "printable"),
    ],
)
async def test_what_cannot_be_done_is_said(
    cli: Cli, arguments: tuple[str, ...], exit_code: int, words: str
) -> None:
    done = await asyncio.to_thread(cli, "exceptions", *arguments)
    assert (done.exit_code, words in done.output) == (exit_code, True), done.output
