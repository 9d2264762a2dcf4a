"""`tidegate simulate`: a merchant's own team tries the set-up with it."""

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


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *words])


@pytest.fixture
def accounts(directory: Path) -> list[configuration.Account]:
    """Every provider there is, configured by what the command prints."""
    made = []
    for name in registry.names():
        said = run(name, "--keys", str(directory / f"{name}.json"))
        assert said.exit_code == 0, said.output
        section = said.output[said.output.index("[[accounts]]") :]
        (account,) = tomllib.loads(section)["accounts"]
        made.append(configuration.Account(**account))
    return made


async def play(site: Site, directory: Path, name: str, *words: str) -> Result:
    return await asyncio.to_thread(
        run, name, "--keys", str(directory / f"{name}.json"), "--url", site.url, *words
    )


@pytest.mark.parametrize("name", registry.names())
async def test_the_story_of_every_provider_is_acknowledged(
    site: Site, directory: Path, name: str
) -> None:
    said = await play(site, directory, name, "--duplicate", "2", "--count", "3", "--json")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)["messages"]
    assert all(row["is_right"] and row["status"] == 200 for row in told)
    assert all(row["messages"] == 6 for row in told)


@pytest.mark.parametrize("name", registry.names())
async def test_forgeries_are_refused(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", directory: Path, name: str
) -> None:
    for how in sorted(registry.provider(name).FORGERIES):
        said = await play(site, directory, name, "--forge", how)
        assert said.exit_code == 0, said.output
    assert await ledger.fetchval("SELECT count(*) FROM order_events") == 0


async def test_a_payment_of_an_order_by_its_number(
    site: Site, ledger: "asyncpg.Pool[asyncpg.Record]", order_json: bytes, directory: Path
) -> None:
    assert (await site.submit(order_json))[0] == 201
    said = await play(
        site, directory, "wechatpay", "--kind", "paid", "--order-no", "W-1001", "--amount", "199.00"
    )
    assert said.exit_code == 0, said.output
    assert await ledger.fetchval("SELECT status FROM orders") == "paid"


async def test_probes_must_be_refused(site: Site, directory: Path) -> None:
    said = await play(
        site, directory, "wechatpay", "--kind", "probe", "--kind", "ping", "--rate", "9"
    )
    assert said.exit_code == 0, said.output


async def test_what_is_wrong_is_said_with_the_way_out(site: Site, directory: Path) -> None:
    said = await play(site, directory, "wechatpay", "--account", "other")
    assert said.exit_code == 1
    assert "put this into tidegate.toml" in said.output
    assert 'name = "other"' in said.output
    other = run("wechatpay", "--keys", str(directory / "others.json"))
    assert other.exit_code == 0
    said = await asyncio.to_thread(
        run, "wechatpay", "--keys", str(directory / "others.json"), "--url", site.url
    )
    assert said.exit_code == 1
    assert "genuine messages were refused" in said.output


def test_no_gateway(directory: Path) -> None:
    words = ("doudian", "--keys", str(directory / "doudian.json"))
    assert run(*words).exit_code == 0
    said = run(*words, "--url", f"http://127.0.0.1:{free_port()}")
    assert said.exit_code == 1
    assert "nothing answers" in said.output


def test_keys_are_for_their_owner_and_are_not_made_anew(directory: Path) -> None:
    path = directory / "stripe.json"
    assert run("paypal", "--keys", str(path)).exit_code == 0
    held = keys.load(path)
    assert [
        stat.S_IMODE(file.stat().st_mode) for file in (path, *keys.secret_files(path, held))
    ] == [
        0o600,
        0o600,
    ]
    with pytest.raises(FileExistsError):
        keys.save(path, held)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nobody",), "known are"),
        (("paypal",), "--keys paypal.json"),
        (("paypal", "--kind", "shipped"), "does not tell 'shipped'"),
        (("doudian", "--forge", "stale"), "cannot be forged"),
    ],
)
def test_wrong_options(words: tuple[str, ...], says: str) -> None:
    said = run(*words)
    assert said.exit_code == 2
    assert says in said.output


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1e999999999999999999", "x", "", "1.005"])
def test_wrong_amounts(directory: Path, amount: str) -> None:
    words = ("paypal", "--keys", str(directory / "p.json"))
    assert run(*words).exit_code == 0
    assert run(*words, "--amount", amount).exit_code == 2


def test_a_key_file_that_is_none(directory: Path) -> None:
    (directory / "x.json").write_text("{}")
    assert run("paypal", "--keys", str(directory / "x.json")).exit_code == 2


def test_the_list_names_every_provider() -> None:
    assert set(json.loads(run("--list", "--json").stdout)) == set(registry.names())
    for name in registry.names():
        assert name in run("--list").stdout
