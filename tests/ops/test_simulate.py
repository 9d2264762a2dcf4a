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


#: What pays orders that others placed.
_PAYING = [
    name
    for name in registry.names()
    if "paid" in registry.provider(name).KINDS and "placed" not in registry.provider(name).KINDS
]


@pytest.mark.parametrize("name", _PAYING)
async def test_the_example_order_is_paid_as_it_is(
    site: Site,
    ledger: "asyncpg.Pool[asyncpg.Record]",
    order_json: bytes,
    directory: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without --amount and --currency it is CNY 199.00; what is printed is what is booked."""
    assert (await site.submit(order_json))[0] == 201
    monkeypatch.delenv("TIDEGATE_API_KEY", raising=False)
    arguments = ("--kind", "paid", "--order-no", "W-1001")
    result = await play(site, directory, name, *arguments, "--json")
    assert result.exit_code == 0, result.output
    (sent,) = json.loads(result.stdout)["sent"]
    assert (sent["order_no"], sent["amount"], sent["currency"]) == ("W-1001", "199.00", "CNY")
    assert await ledger.fetchrow("SELECT status, currency FROM orders") == ("paid", "CNY")
    assert await booked(ledger) == sent["transaction"]


async def booked(ledger: "asyncpg.Pool[asyncpg.Record]") -> str:
    """The transaction that the one order was paid with."""
    transaction: str = await ledger.fetchval("SELECT transaction_id FROM payments")
    return transaction


async def test_amount_and_currency_follow_the_order(
    site: Site,
    ledger: "asyncpg.Pool[asyncpg.Record]",
    order_json: bytes,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With an API key the order is looked up, and what became of it is shown."""
    body = json.loads(order_json)
    body |= {"currency": "EUR", "amounts": {"goods": "7.50", "payable": "7.50"}}
    body["items"] = [{**body["items"][0], "quantity": 1, "unit_price": "7.50"}]
    assert (await site.submit(json.dumps(body).encode()))[0] == 201
    monkeypatch.setenv("TIDEGATE_API_KEY", site.token)
    arguments = ("--kind", "paid", "--order-no", "W-1001")
    result = await play(site, directory, "stripe", *arguments)
    assert result.exit_code == 0, result.output
    assert "7.50 EUR" in result.stdout
    assert await booked(ledger) in result.stdout
    assert "order W-1001 (web): pending_payment -> paid, 7.50 of 7.50 EUR paid" in result.stdout
    assert 'curl -sS -H "Authorization: Bearer $TIDEGATE_API_KEY"' in result.stdout
    assert f"{site.url}/v1/orders?order_no=W-1001&channel=web" in result.stdout
    assert site.token not in result.output


@pytest.mark.parametrize("name", ["paypal", "adyen", "standard_webhooks"])
@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        (["part_paid"], "pending_payment, 1.00 of 199.00 CNY paid"),
        (["part_paid", "rest_paid"], "pending_payment -> paid, 199.00 of 199.00 CNY paid"),
        (["paid", "partial_refund", "refund_failed"], "-> paid, 199.00 of 199.00 CNY paid"),
        (["paid", "dispute_opened"], "199.00 of 199.00 CNY paid, held: disputed"),
        (["paid", "dispute_opened", "dispute_lost"], "-> refunded, 199.00 of 199.00 CNY paid"),
    ],
)
async def test_parts_failed_refunds_and_disputes(
    site: Site,
    order_json: bytes,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kinds: list[str],
    says: str,
) -> None:
    assert (await site.submit(order_json))[0] == 201
    monkeypatch.setenv("TIDEGATE_API_KEY", site.token)
    chosen = [argument for kind in kinds for argument in ("--kind", kind)]
    result = await play(site, directory, name, *chosen, "--order-no", "W-1001")
    assert result.exit_code == 0, result.output
    assert says in result.stdout


async def test_a_payment_that_cannot_be_booked_is_no_success(
    site: Site, order_json: bytes, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another currency is acknowledged, as its provider requires, and parked."""
    assert (await site.submit(order_json))[0] == 201
    monkeypatch.setenv("TIDEGATE_API_KEY", site.token)
    arguments = ("--kind", "paid", "--order-no", "W-1001", "--currency", "EUR")
    result = await play(site, directory, "stripe", *arguments)
    assert result.exit_code == 1
    assert "acknowledged" in result.stdout
    assert "parked, not booked: amount_mismatch" in result.stderr
    found = json.loads((await play(site, directory, "stripe", *arguments, "--json")).stdout)
    assert (found["order"]["status"], found["order"]["paid"]) == ("pending_payment", "0.00")


async def test_a_payment_that_does_not_reach_the_order_is_no_success(
    site: Site, order_json: bytes, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is live and the order is not: the payment waits for a live one."""
    token = await site.token_for("ingest", "query", is_test=True)
    assert (await site.submit(order_json, Authorization=f"Bearer {token}"))[0] == 201
    monkeypatch.setenv("TIDEGATE_API_KEY", token)
    result = await play(site, directory, "stripe", "--kind", "paid", "--order-no", "W-1001")
    assert "pending_payment, 0.00 of 199.00 CNY paid" in result.stdout
    assert "has not reached the order W-1001" in result.stderr
    assert result.exit_code == 1


async def test_without_a_key_it_says_that_nothing_was_checked(
    site: Site, order_json: bytes, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await site.submit(order_json))[0] == 201
    arguments = ("--kind", "paid", "--order-no", "W-1001")
    monkeypatch.chdir(directory)
    monkeypatch.delenv("TIDEGATE_API_KEY", raising=False)
    result = await play(site, directory, "stripe", *arguments)
    assert result.exit_code == 0
    assert "not checked: set TIDEGATE_API_KEY" in result.stdout
    monkeypatch.setenv("TIDEGATE_API_KEY", "tg_wrong")
    result = await play(site, directory, "stripe", *arguments)
    assert "not checked: GET /v1/orders was answered 401" in result.stdout
    monkeypatch.setenv("TIDEGATE_API_KEY", site.token)
    result = await play(site, directory, "stripe", "--kind", "paid", "--order-no", "W-7")
    assert "there is no order W-7 in the channel web" in result.stdout


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
        (("paypal", "--kind", "shipped"), "--kind: paypal sends no message 'shipped'"),
        (("kuaidi100", "--demo"), "reports no payments"),
        (("paypal", "--url", "gateway:8080"), "--url must be like http://127.0.0.1:8080"),
        (("paypal", "--url", "http://["), "--url must be like"),
        (("paypal", "--account", "a/b"), "--account must be"),
        (("paypal", "--channel", "Web"), "--channel must be"),
        (("paypal", "--order-no", " "), "--order-no must have"),
        (("paypal", "--order-no", "\udcff"), "--order-no must have"),
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


@pytest.mark.parametrize("currency", ["cny", "YUAN", "", "¥¥¥"])
def test_wrong_currencies(directory: Path, currency: str) -> None:
    arguments = ("stripe", "--keys", str(directory / "s.json"))
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--currency", currency)
    assert (result.exit_code, "--currency" in result.output) == (2, True)


def test_the_account_of_another_provider(directory: Path) -> None:
    path = str(directory / "s.json")
    assert run("stripe", "--keys", path).exit_code == 0
    for name in ("paypal", "wechatpay", "adyen", "unionpay", "alipay", "youzan", "doudian"):
        result = run(name, "--keys", path)
        assert result.exit_code == 2, (name, result.output)
        assert "--keys" in result.output


def test_an_invalid_key_file(directory: Path) -> None:
    (directory / "x.json").write_text("{}")
    assert run("paypal", "--keys", str(directory / "x.json")).exit_code == 2


def test_the_list_names_every_provider() -> None:
    assert set(json.loads(run("--list", "--json").stdout)) == set(registry.names())
    for name in registry.names():
        assert name in run("--list").stdout
