"""`tidegate simulate`."""

import json
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import click

from ops import tables
from ops.failures import Failure, Wrong
from ops.simulation import demo, orders, report, run, script
from ops.simulation.orders import Orders
from ops.simulation.report import Checked
from ops.simulation.run import Target, Watch
from ops.simulators import keys, registry
from ops.simulators.contract import Account, Forgery, Kind, Simulator
from ops.simulators.registry import Provider
from ops.simulators.sending import Sent

#: As the gateway's settings name accounts and channels.
_NAME, _CHANNEL = re.compile(r"[a-z0-9_-]{1,32}"), re.compile(r"[a-z0-9_]{1,32}")
_URL = "http://127.0.0.1:8080"
_AMOUNT = Decimal("199.00")
_EPILOG = """\
\b
While `make run` (or `tidegate up`) runs, in another terminal of the same directory:
  tidegate simulate stripe --demo
      makes an account, puts it into tidegate.toml, has the gateway read it, places an order, pays
      it, pays it again, forges a payment, refunds it, and shows what became of the order
\b
By hand, or at another gateway, it takes two runs. The first one makes the account and prints its
section of tidegate.toml; the gateway reads it after SIGHUP or a restart; the second one sends:
  tidegate simulate wechatpay --keys wechatpay.json
  tidegate simulate wechatpay --keys wechatpay.json --order-no W-1001 --kind paid
  tidegate simulate wechatpay --keys wechatpay.json --duplicate 2 --count 1000 --rate 200
  tidegate simulate wechatpay --keys wechatpay.json --forge changed
  tidegate simulate paypal --keys paypal.json --order-no W-1002 --kind part_paid --kind rest_paid
  tidegate simulate --list
\b
With an API key (TIDEGATE_API_KEY, or .tidegate/api-key) the order of --order-no is looked up: its
amount and currency are paid, and what became of it is shown. Without one, and for an order that is
not there yet, 199.00 CNY unless --amount and --currency say otherwise.
\b
Exits 0 when every genuine message was acknowledged as its provider requires, every forged one was
rejected, and nothing was parked, as far as that could be looked up; 1 otherwise; 2 for a wrong
option.
"""


@click.command("simulate", epilog=_EPILOG)
@click.argument("provider", required=False)
@click.option("--list", "is_list", is_flag=True, help="List what can be simulated, and exit.")
@click.option(
    "--demo", "is_demo", is_flag=True, help="Play one order at the gateway of `make run`."
)
@click.option("--keys", "keys_file", type=click.Path(path_type=Path, dir_okay=False),
              help="File of the simulated account; created on first use.")  # fmt: skip
@click.option("--url", default=lambda: os.environ.get("TIDEGATE_URL") or _URL, show_default=_URL,
              help="The gateway; TIDEGATE_URL sets it too.")  # fmt: skip
@click.option("--account", default="main", show_default=True, help="Name of the account there.")
@click.option("--channel", default="web", show_default=True, help="Channel of its orders.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(get_args(Kind)),
              help="Message to send; repeatable. Default: order, payment, refunds.")  # fmt: skip
@click.option("--duplicate", type=click.IntRange(1, 100), default=1, show_default=True,
              help="How often each message is sent.")  # fmt: skip
@click.option("--reverse", is_flag=True, help="Send the messages in reverse: the last one first.")
@click.option("--forge", "forged", type=click.Choice(get_args(Forgery)),
              help="Forge every message in this way; all must be rejected.")  # fmt: skip
@click.option("--order-no", help="Number of the order; with --count a number is appended.")
@click.option("--amount", help=f"Amount of the order. Default: the order's, else {_AMOUNT}.")
@click.option("--currency", help="Default: the order's, else CNY, or the provider's usual one.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True,
              help="How many orders.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(0.1, 100_000), help="Messages per second in total.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@tables.wide_option
def command(
    provider: str | None, is_list: bool, is_demo: bool, keys_file: Path | None, url: str,
    account: str, channel: str, kinds: Sequence[Kind], duplicate: int, reverse: bool,
    forged: Forgery | None, order_no: str | None, amount: str | None, currency: str | None,
    count: int, rate: float | None, as_json: bool, wide: bool,
) -> None:  # fmt: skip
    """Simulate a payment provider or shop: sign messages and post them to a gateway.

    The account is simulated: the gateway is configured with its secrets, and the file of --keys
    holds the provider's keys. Never configure it on a gateway that handles real payments.
    """
    if is_list or provider is None:
        _list(as_json, wide=wide)
        return
    if provider not in registry.names():
        raise Wrong(f"unknown provider {provider!r}; known are {', '.join(registry.names())}")
    _check_names(url=url, account=account, channel=channel, order_no=order_no)
    played = registry.provider(provider)
    sequence = _sequence(provider, played, kinds, forged)
    place = demo.find_place(provider, played) if is_demo else None
    if keys_file is None and place is not None:
        keys_file = place.keys_file
    if keys_file is None:
        raise Wrong(f"name the file of the account: --keys {provider}.json (created on first use)")
    simulated, is_new = _load_or_create(keys_file, played)
    section = keys.section(provider, account, channel, path=keys_file, account=simulated)
    if is_new and place is None:
        click.echo(
            f"created the account {keys_file}. Put this into tidegate.toml, send the gateway "
            f"SIGHUP or restart it, and run the same command again:\n\n{section}"
        )
        return
    target = Target(
        name=provider,
        provider=played,
        simulator=_simulator(played, simulated, keys_file),
        callbacks_url=f"{url.rstrip('/')}/v1/callbacks/{provider}/{account}",
        section=section,
    )
    key = orders.find_key()
    api = None if key is None else Orders(url=url, key=key)
    if place is not None:
        if api is None:
            raise Failure(f"there is no API key in {orders.KEY_FILE}, where `make run` puts it")
        demo.play(target, place, api, account=account, channel=channel, wide=wide)
        return
    watch = Watch(api, order_no=order_no, channel=channel) if order_no and count == 1 else None
    trades = script.trades(
        order_no, *_money(amount, currency, watch, target, sequence[0]), count=count
    )
    steps = script.steps(sequence, duplicate=duplicate, forged=forged)
    sent = run.send(target, trades, steps[::-1] if reverse else steps, rate=rate)
    checked = None
    if count == 1:
        watch = watch or Watch(api, order_no=trades[0].order_no, channel=channel)
        checked = watch.after(sent)
    if as_json:
        click.echo(report.as_json(played, sent, checked))
    else:
        report.messages(played, sent, wide=wide)
        if watch is not None:
            _show_order(watch, checked, sent, wide=wide)
    run.judge(sent, target)
    if checked is not None:
        checked.judge(sent)


def _show_order(watch: Watch, checked: Checked | None, sent: Sequence[Sent], *, wide: bool) -> None:
    """Print what became of the order, or why that is not known."""
    if checked is not None:
        checked.show(wide=wide)
    elif any(each.is_right and each.step.is_genuine for each in sent):
        click.echo(f"what became of the order was not checked: {watch.why_not}")
    if watch.curl:
        click.echo(f"look at it: {watch.curl}")


def _check_names(*, url: str, account: str, channel: str, order_no: str | None) -> None:
    """Raise ``Wrong`` for what can be no address, name or number."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not url.isascii() or not url.isprintable() or " " in url:
        raise Wrong(f"--url must be like {_URL}, not {url!r}")
    if not _NAME.fullmatch(account):
        raise Wrong("--account must be 1 to 32 characters of a-z, 0-9, _ and -")
    if not _CHANNEL.fullmatch(channel):
        raise Wrong("--channel must be 1 to 32 characters of a-z, 0-9 and _")
    if order_no is not None and (not order_no.strip() or not order_no.isprintable()):
        raise Wrong("--order-no must have printable characters")


def _sequence(
    name: str, played: Provider, kinds: Sequence[Kind], forged: Forgery | None
) -> list[Kind]:
    """Return the kinds to send. Raises ``Wrong`` for what the provider does not send."""
    sequence = script.sequence(kinds, played)
    if unknown := [kind for kind in sequence if kind not in played.KINDS]:
        known = ", ".join(sorted(played.KINDS))
        raise Wrong(f"--kind: {name} sends no message {unknown[0]!r}; it sends {known}")
    if forged is not None and forged not in played.FORGERIES:
        known = ", ".join(sorted(played.FORGERIES))
        raise Wrong(f"--forge: messages of {name} cannot be forged as {forged!r}, but as {known}")
    return sequence


def _money(
    amount: str | None, currency: str | None, watch: Watch | None, target: Target, kind: Kind
) -> tuple[Decimal, str]:
    """Return what is paid: as given, else what the order says, else the example's."""
    order = None if watch is None else watch.before
    due = script.money(amount) if amount is not None else order.payable if order else _AMOUNT
    if currency is not None and not (
        currency.isascii() and currency.isupper() and len(currency) == 3
    ):
        raise Wrong(f"--currency {currency!r} is not three capital letters (ISO 4217)")
    paid_in = currency or (order.currency if order else "")
    return due, paid_in or script.usual_currency(target.provider, target.simulator, kind)


def _list(as_json: bool, *, wide: bool) -> None:
    found = {name: registry.provider(name) for name in registry.names()}
    if as_json:
        shown = {
            name: {
                "kinds": sorted(each.KINDS),
                "forgeries": sorted(each.FORGERIES),
                "currencies": each.CURRENCIES,
            }
            for name, each in found.items()
        }
        click.echo(json.dumps(shown))
        return
    rows = [
        (name, " ".join(sorted(each.KINDS)), " ".join(sorted(each.FORGERIES)))
        for name, each in found.items()
    ]
    tables.table(("PROVIDER", "MESSAGES", "FORGERIES"), rows, wide=wide)


def _load_or_create(path: Path, played: Provider) -> tuple[Account, bool]:
    """Return the account of a file, created if there is none, and whether it was created."""
    try:
        if path.exists():
            return keys.load(path), False
        made = played.create()
        keys.save(path, made)
    except OSError as exc:
        raise Wrong(f"--keys {path}: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise Wrong(f"--keys: {exc}") from None
    return made, True


def _simulator(played: Provider, account: Account, path: Path) -> Simulator:
    try:
        return played.simulator(account)
    except (ValueError, LookupError, TypeError, AssertionError) as exc:
        why = str(exc) if isinstance(exc, ValueError) else f"{exc} is missing or of another form"
        raise Wrong(f"--keys: {path} holds no account of this provider: {why}") from None
