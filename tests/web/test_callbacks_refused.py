"""A rejected callback is stored, sealed, and shown to operators."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from gateway.runtime import settings as configuration
from gateway.stores.postgres import audit
from ops import cli
from tests.support.site import Site
from tests.web.support import Wire

PATH = "/v1/callbacks/standard_webhooks/main"
BODY = b'{"type":"payment.succeeded","buyer":"Wang Fang"}'


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "utf-8")
    secrets = [f"file:{tmp_path / 'secret'}"]
    return [configuration.Account("standard_webhooks", "main", ["web"], secrets, {})]


@pytest.fixture(autouse=True)
async def _empty(ledger: "asyncpg.Pool[asyncpg.Record]") -> None:
    await ledger.execute("TRUNCATE refused_callbacks")


async def reject(site: Site, body: bytes = BODY) -> None:
    headers = {"webhook-id": "m1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    async with site.client.post(PATH, data=body, headers=headers) as answer:
        assert 400 <= answer.status < 500
    await site.gateway.rejected_callbacks.write()


async def test_it_is_sealed_and_listed_with_its_reason(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await reject(site)
    row = await ledger.fetchrow("SELECT * FROM refused_callbacks")
    assert row is not None
    assert (row["provider"], row["account"], row["bytes"]) == ("standard_webhooks", "main", 48)
    assert row["reason"] in {"stale", "bad_signature"}
    assert row["hint"]
    assert b"Wang" not in row["message"]
    assert b"AAAA" not in row["message"]


async def test_an_accepted_callback_is_not_recorded(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    async with site.client.post("/v1/callbacks/stripe/none", data=BODY) as answer:
        assert answer.status == 404
    await site.gateway.rejected_callbacks.write()
    assert await ledger.fetchval("SELECT count(*) FROM refused_callbacks") == 0


async def test_an_operator_finds_out_why(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list has the reason, and showing one is recorded in the audit log."""

    await reject(site)
    await reject(site, b"\xff\x1b[2J")
    monkeypatch.setattr(configuration, "load", lambda: site.gateway.settings)

    async def run(*arguments: str) -> str:
        called = ["callbacks", "refused", *arguments]
        done = await asyncio.to_thread(CliRunner().invoke, cli.main, called)
        assert done.exit_code == 0, done.output
        return done.stdout

    newest, oldest = json.loads(await run("--provider", "standard_webhooks", "--json"))
    assert (newest["bytes"], oldest["bytes"]) == (5, 48)
    assert json.loads(await run("--account", "other", "--json")) == []
    assert f"{oldest['id']}" in await run("--reason", oldest["reason"])
    assert BODY.decode() in await run("--show", oldest["id"])
    shown = json.loads(await run("--show", oldest["id"], "--json"))
    assert ["webhook-signature", "v1,AAAA"] in [[n.lower(), v] for n, v in shown["headers"]]
    hostile = await run("--show", newest["id"])
    assert "\x1b" not in hostile
    assert "\\xff\\x1b[2J" in hostile
    looked = await ledger.fetch("SELECT subject FROM audit_log WHERE action = 'show_refused'")
    assert [subject for (subject,) in looked] == [oldest["id"], oldest["id"], newest["id"]]
    async with ledger.acquire() as connection:
        assert await audit.first_break(connection) is None


async def test_an_unknown_id_is_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(configuration, "load", lambda: site.gateway.settings)
    called = ["callbacks", "refused", "--show", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"]
    done = await asyncio.to_thread(CliRunner().invoke, cli.main, called)
    assert done.exit_code == 1
    assert "no rejected callback" in done.output


async def test_a_header_that_is_not_text_is_stored_too(
    site: Site, wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """It ended the process once: bytes from the network reach the encoder of the record."""
    sent = wire.request("POST", PATH, BODY, [("X-Odd", "\xff\xfe"), ("Connection", "close")])
    (answer,) = await wire.answers(sent)
    assert answer.status == 400
    await site.gateway.rejected_callbacks.write()
    assert await ledger.fetchval("SELECT count(*) FROM refused_callbacks") == 1
