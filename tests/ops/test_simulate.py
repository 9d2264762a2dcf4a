"""`tidegate simulate`: signed messages of every provider to a running gateway."""

import asyncio
import json
import stat
import tomllib
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gateway.runtime import settings as configuration
from ops.cli import main
from ops.harness.ports import free_port
from ops.simulators import keys, registry
from tests.support.site import Site


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


@pytest.fixture
def accounts(directory: Path) -> list[configuration.Account]:
    """An account of every provider, configured with the output of the command."""
    made = []
    for name in registry.names():
        result = run(name, "--keys", str(directory / f"{name}.json"))
        assert result.exit_code == 0, result.output
        section = result.output[result.output.index("[[accounts]]") :]
        (account,) = tomllib.loads(section)["accounts"]
        made.append(configuration.Account(**account))
    return made


async def play(site: Site, directory: Path, name: str, *arguments: str) -> Result:
    return await asyncio.to_thread(
        run, name, "--keys", str(directory / f"{name}.json"), "--url", site.url, *arguments
    )


@pytest.mark.parametrize("name", registry.names())
async def test_the_messages_of_every_provider_are_acknowledged(
    site: Site, directory: Path, name: str
) -> None:
    result = await play(site, directory, name, "--duplicate", "2", "--count", "3", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["messages"]
    assert all(row["is_right"] and row["status"] == 200 for row in rows)
    assert all(row["messages"] == 6 for row in rows)


@pytest.mark.parametrize("name", registry.names())
async def test_forgeries_are_rejected(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", directory: Path, name: str
) -> None:
    for how in sorted(registry.provider(name).FORGERIES):
        result = await play(site, directory, name, "--forge", how)
        assert result.exit_code == 0, result.output
    assert await ledger.fetchval("SELECT count(*) FROM order_events") == 0


async def test_a_payment_of_an_order_by_its_number(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", order_json: bytes, directory: Path
) -> None:
    assert (await site.submit(order_json))[0] == 201
    result = await play(
        site, directory, "wechatpay", "--kind", "paid", "--order-no", "W-1001", "--amount", "199.00"
    )
    assert result.exit_code == 0, result.output
    assert await ledger.fetchval("SELECT status FROM orders") == "paid"


async def test_probes_must_be_rejected(site: Site, directory: Path) -> None:
    result = await play(
        site, directory, "wechatpay", "--kind", "probe", "--kind", "ping", "--rate", "9"
    )
    assert result.exit_code == 0, result.output


async def test_an_error_names_its_remedy(site: Site, directory: Path) -> None:
    result = await play(site, directory, "wechatpay", "--account", "other")
    assert result.exit_code == 1
    assert "put this into tidegate.toml" in result.output
    assert 'name = "other"' in result.output
    other = run("wechatpay", "--keys", str(directory / "others.json"))
    assert other.exit_code == 0
    result = await asyncio.to_thread(
        run, "wechatpay", "--keys", str(directory / "others.json"), "--url", site.url
    )
    assert result.exit_code == 1
    assert "genuine messages were rejected" in result.output


def test_no_gateway(directory: Path) -> None:
    arguments = ("doudian", "--keys", str(directory / "doudian.json"))
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--url", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "no response from" in result.output


def test_keys_are_private_and_never_overwritten(directory: Path) -> None:
    path = directory / "stripe.json"
    assert run("paypal", "--keys", str(path)).exit_code == 0
    stored = keys.load(path)
    assert [
        stat.S_IMODE(file.stat().st_mode) for file in (path, *keys.secret_files(path, stored))
    ] == [
        0o600,
        0o600,
    ]
    with pytest.raises(FileExistsError):
        keys.save(path, stored)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unknown",), "known are"),
        (("paypal",), "--keys paypal.json"),
        (("paypal", "--kind", "shipped"), "sends no message 'shipped'"),
        (("doudian", "--forge", "stale"), "cannot be forged"),
    ],
)
def test_wrong_options(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1e999999999999999999", "x", "", "1.005"])
def test_wrong_amounts(directory: Path, amount: str) -> None:
    arguments = ("paypal", "--keys", str(directory / "p.json"))
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--amount", amount).exit_code == 2


def test_an_invalid_key_file(directory: Path) -> None:
    (directory / "x.json").write_text("{}")
    assert run("paypal", "--keys", str(directory / "x.json")).exit_code == 2


def test_the_list_names_every_provider() -> None:
    assert set(json.loads(run("--list", "--json").stdout)) == set(registry.names())
    for name in registry.names():
        assert name in run("--list").stdout
