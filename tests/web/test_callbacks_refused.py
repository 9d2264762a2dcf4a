"""A rejected callback is stored, sealed, and shown to operators."""

import asyncio
import json
from pathlib import Path

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.runtime import settings as configuration
from gateway.runtime import settings_source
from gateway.stores import sealing
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


async def too_large(site: Site) -> float:
    """Return how many were counted as too large, in this process."""
    async with site.client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    label = 'tidegate_refused_callbacks_total{account="main",provider="standard_webhooks",'
    found = [line for line in lines if line.startswith(label) and "too_large" in line]
    return sum(float(line.split()[-1]) for line in found)


async def test_one_that_is_too_large_is_counted_and_recorded(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """It was answered 413 without a trace: nobody knew why the provider had stopped."""
    before = await too_large(site)
    async with site.client.post(PATH, data=b"x" * (64 * 1024 + 1)) as answer:
        assert answer.status == 413
    await site.gateway.rejected_callbacks.write()
    row = await ledger.fetchrow("SELECT reason, hint, bytes FROM refused_callbacks")
    assert row is not None
    assert (row["reason"], row["bytes"]) == ("too_large", 0)
    assert "65536 bytes" in row["hint"]
    assert await too_large(site) == before + 1


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
    monkeypatch.setattr(settings_source, "load", lambda: site.gateway.settings)

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


async def test_the_list_counts_and_one_is_shown_masked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reject(site)
    monkeypatch.setattr(settings_source, "load", lambda: site.gateway.settings)

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, cli.main, ["callbacks", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    found = json.loads(await run("list", "--provider", "standard_webhooks", "--json"))
    newest = found["callbacks"][0]
    assert sum(found["counts"].values()) >= len(found["callbacks"])
    assert f"in all: {newest['reason']}" in await run("list", "--reason", newest["reason"])
    masked = await run("show", newest["id"])
    assert "v1,AAAA" not in masked
    assert "webhook-signature: v" in masked.lower()
    assert BODY.decode() in await run("show", newest["id"], "--full")


async def test_an_unknown_id_is_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(settings_source, "load", lambda: site.gateway.settings)
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


async def test_one_that_cannot_be_opened_is_listed_and_shown_without_its_message(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    await reject(site)
    await reject(site, b"sound")
    monkeypatch.setattr(settings_source, "load", lambda: site.gateway.settings)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(
            CliRunner().invoke, cli.main, ["callbacks", "refused", *arguments]
        )

    sound, damaged = (each["id"] for each in json.loads((await run("--json")).stdout)[:2])
    await ledger.execute(
        "UPDATE refused_callbacks SET message = substring(message FROM 1 FOR 60) "
        f"WHERE id = '{damaged}'"
    )
    listed = json.loads((await run("--json")).stdout)
    assert [each["id"] for each in listed[:2]] == [sound, damaged]
    shown = await run("--show", damaged)
    assert shown.exit_code == 1
    assert "rejected: " in shown.stdout
    assert f"the message of {damaged} cannot be opened" in shown.stderr
    as_json = json.loads((await run("--show", damaged, "--json")).stdout)
    assert (as_json["id"], as_json["headers"], as_json["body"]) == (damaged, None, None)
    assert as_json["unreadable"] == ["headers", "body"]
    assert (await run("--show", sound)).exit_code == 0


async def test_with_the_ring_of_another_database_none_is_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await reject(site)
    ring = tmp_path / "other.toml"
    sealing.write_ring(ring, sealing.new_ring())
    wrong = msgspec.structs.replace(site.gateway.settings, keyring_file=str(ring))
    monkeypatch.setattr(settings_source, "load", lambda: wrong)
    called = ["callbacks", "refused", "--show", "019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"]
    done = await asyncio.to_thread(CliRunner().invoke, cli.main, called)
    assert done.exit_code == 2
    assert "does not belong to this database" in done.stderr
