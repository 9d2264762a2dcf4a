"""`tidegate simulate`."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import get_args

import click

from ops.failures import Failure, Wrong
from ops.simulators import keys, registry, sending
from ops.simulators.contract import Account, Forgery, Kind, Trade
from ops.simulators.sending import Sent, Step
from ops.tables import table

_DEFAULT_KINDS: tuple[Kind, ...] = ("placed", "paid", "partial_refund", "refund")
_AMOUNT_LIMIT = 10**10
_PARCEL: tuple[Kind, ...] = ("shipped", "delivered")
_EPILOG = """\
\b
Examples:
  tidegate simulate --list
  tidegate simulate wechatpay --keys wechatpay.json
      creates the account and prints its section of tidegate.toml; then, with the gateway restarted:
  tidegate simulate wechatpay --keys wechatpay.json --order-no W-1001 --amount 199.00 --kind paid
  tidegate simulate wechatpay --keys wechatpay.json --duplicate 2 --count 1000 --rate 200
  tidegate simulate wechatpay --keys wechatpay.json --forge changed
Exits 0 when every genuine message was acknowledged as its provider requires and every forged one
was rejected, 1 otherwise, 2 for a wrong option.
"""


@click.command("simulate", epilog=_EPILOG)
@click.argument("provider", required=False)
@click.option("--list", "is_list", is_flag=True, help="List what can be simulated, and exit.")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path, dir_okay=False),
              help="File of the simulated account; created on first use.")  # fmt: skip
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The gateway.")
@click.option("--account", default="main", show_default=True, help="Name of the account there.")
@click.option("--channel", default="web", show_default=True, help="Channel of its orders.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(get_args(Kind)),
              help="Message to send; repeatable. Default: order, payment, refunds.")  # fmt: skip
@click.option("--duplicate", type=click.IntRange(1, 100), default=1, show_default=True,
              help="How often each message is sent.")  # fmt: skip
@click.option(
    "--reverse", is_flag=True, help="Send the messages in reverse order: the last one first."
)
@click.option("--forge", "forged", type=click.Choice(get_args(Forgery)),
              help="Forge every message in this way; all must be rejected.")  # fmt: skip
@click.option("--order-no", help="Number of the order; with --count a number is appended.")
@click.option("--amount", default="199.00", show_default=True, help="Amount of the order.")
@click.option("--currency", help="Default: the provider's usual one.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True,
              help="How many orders.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(0.1, 100_000), help="Messages per second in total.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    provider: str | None, is_list: bool, keys_file: Path | None, url: str, account: str,
    channel: str, kinds: Sequence[Kind], duplicate: int, reverse: bool, forged: Forgery | None,
    order_no: str | None, amount: str, currency: str | None, count: int, rate: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Simulate a payment provider or shop: sign messages and post them to a gateway.

    The account is simulated: the gateway is configured with its secrets, and the file of --keys
    holds the provider's keys. Never configure it on a gateway that handles real payments.
    """
    if is_list or provider is None:
        _list(as_json)
        return
    if provider not in registry.names():
        raise Wrong(f"unknown provider {provider!r}; known are {', '.join(registry.names())}")
    played = registry.provider(provider)
    sequence = kinds or [k for k in _DEFAULT_KINDS if k in played.KINDS] or list(_PARCEL)
    if unknown := [kind for kind in sequence if kind not in played.KINDS]:
        known = ", ".join(sorted(played.KINDS))
        raise Wrong(f"{provider} sends no message {unknown[0]!r}; it sends {known}")
    if forged is not None and forged not in played.FORGERIES:
        known = ", ".join(sorted(played.FORGERIES))
        raise Wrong(f"messages of {provider} cannot be forged as {forged!r}, but as {known}")
    if keys_file is None:
        raise Wrong(f"name the file of the account: --keys {provider}.json (created on first use)")
    simulated, is_new = _load_or_create(keys_file, played)
    section = keys.section(provider, account, channel, path=keys_file, account=simulated)
    if is_new:
        click.echo(f"created the account {keys_file}. Put this into tidegate.toml, restart the "
                   f"gateway, and run the same command again:\n\n{section}")  # fmt: skip
        return
    trades = _trades(order_no, amount, currency or played.CURRENCIES[0], count)
    steps = [Step(kind, n, forged) for kind in sequence for n in range(duplicate)]
    simulator = played.simulator(simulated)
    try:
        # Kinds that a provider cannot express are reported before anything is sent.
        for step in steps:
            sending.posted(simulator, step, trades[0])
    except (ValueError, LookupError) as exc:
        raise Wrong(f"{provider} cannot send that: {exc}") from None
    sent_messages: list[Sent] = []
    target = f"{url.rstrip('/')}/v1/callbacks/{provider}/{account}"
    asyncio.run(
        sending.send(
            trades,
            steps[::-1] if reverse else steps,
            url=target,
            simulator=simulator,
            rate=rate,
            on_sent=lambda sent: _progress(sent_messages, sent, len(trades) * len(steps)),
        )
    )
    _report(sent_messages, as_json=as_json)
    _judge(sent_messages, target=target, section=section)


def _list(as_json: bool) -> None:
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
    table(("PROVIDER", "MESSAGES", "FORGERIES"), rows)


def _load_or_create(path: Path, played: registry.Provider) -> tuple[Account, bool]:
    """Return the account of a file, created if there is none, and whether it was created."""
    try:
        if path.exists():
            return keys.load(path), False
        made = played.create()
        keys.save(path, made)
    except (ValueError, OSError) as exc:
        raise Wrong(str(exc)) from None
    return made, True


def _trades(order_no: str | None, amount: str, currency: str, count: int) -> list[Trade]:
    try:
        due = Decimal(amount)
        is_money = due.is_finite() and 0 < due < _AMOUNT_LIMIT
    except InvalidOperation:
        is_money = False
    if not is_money:
        raise Wrong(f"--amount {amount!r} is not an amount of money")
    # An amount that every currency can express.
    part = Decimal(1) if due > 1 else due
    run = secrets.token_hex(4)
    stem = order_no or f"SIM-{run}"
    return [
        Trade(
            serial=f"{run}{n:06d}",
            order_no=order_no if order_no and count == 1 else f"{stem}-{n}",
            amount=due,
            refunded=part,
            currency=currency,
        )
        for n in range(count)
    ]


def _progress(sent_messages: list[Sent], sent: Sent, total: int) -> None:
    sent_messages.append(sent)
    if len(sent_messages) % 500 == 0:
        click.echo(f"{len(sent_messages):,} of {total:,} sent", err=True)


def _report(sent_messages: Sequence[Sent], *, as_json: bool) -> None:
    counted = Counter((sent.step.kind, sent.status, sent.is_right) for sent in sent_messages)
    took_s = sorted(sent.took_s for sent in sent_messages)
    p50_ms, p99_ms = (took_s[int(share * (len(took_s) - 1))] * 1000 for share in (0.5, 0.99))
    if as_json:
        rows = [
            {"kind": kind, "status": status, "is_right": is_right, "messages": n}
            for (kind, status, is_right), n in sorted(counted.items())
        ]
        click.echo(json.dumps({"messages": rows, "p50_ms": p50_ms, "p99_ms": p99_ms}))
        return
    table(
        ("KIND", "STATUS", "AS EXPECTED", "MESSAGES"),
        [
            (kind, str(status), "yes" if is_right else "no", f"{n:,}")
            for (kind, status, is_right), n in sorted(counted.items())
        ],
    )
    click.echo(f"answered in {p50_ms:.1f} ms (median), {p99_ms:.1f} ms (p99)")


def _judge(sent_messages: Sequence[Sent], *, target: str, section: str) -> None:
    """Raise ``Failure`` with the most common cause if a message was not answered as expected."""
    wrong = [sent for sent in sent_messages if not sent.is_right]
    if not wrong:
        return
    statuses = {sent.status for sent in wrong}
    if statuses == {0}:
        raise Failure(f"no response from {target}: is the gateway running, and --url correct?")
    if 404 in statuses:
        raise Failure(f"the gateway has no such account; put this into tidegate.toml:\n\n{section}")
    if any(sent.status in (400, 401, 403) and sent.step.is_genuine for sent in wrong):
        raise Failure(
            "genuine messages were rejected: the gateway has other keys or options than --keys, or "
            "its clock is wrong; its log and `tidegate_refused_callbacks_total` name the reason"
        )
    if any(not sent.step.is_genuine and sent.status < 300 for sent in wrong):
        raise Failure("forged messages were accepted: the gateway does not verify them")
    raise Failure(f"{len(wrong)} of {len(sent_messages)} messages were not answered as expected")
