"""`tidegate simulate PROVIDER --demo`: a paid order at the gateway of `tidegate up`.

It needs nothing beforehand: the account is made, written into tidegate.toml, and the gateway is
made to read it. All of it is undone by removing the section from tidegate.toml.
"""

import os
import secrets
import shutil
import signal
import time
import tomllib
from decimal import Decimal
from pathlib import Path

import click
from msgspec import Struct

from ops.embedded import leftovers
from ops.failures import Failure, Wrong
from ops.harness.example_order import example_order
from ops.simulation import report, run, script
from ops.simulation.orders import NoAnswer, Orders
from ops.simulation.run import Target, Watch
from ops.simulators.contract import Forgery, Trade
from ops.simulators.registry import Provider
from ops.simulators.sending import Step

STATE = Path(".tidegate")
_RELOAD_S = 60.0
_POLL_S = 0.2


class Place(Struct, frozen=True):
    """Where the demo keeps the account, and the gateway that has to read it."""

    keys_file: Path
    config: Path
    gateway_pid: int


def find_place(name: str, provider: Provider) -> Place:
    """Find the running gateway of this directory.

    Raises ``Wrong`` for a provider without payments, ``Failure`` when no gateway runs here.
    """
    if "paid" not in provider.KINDS:
        raise Wrong(f"{name} reports no payments: --demo is for providers and shops that do")
    gateway_pid = leftovers.pid_of(STATE / "pids", "gateway")
    if gateway_pid is None:
        raise Failure(
            f"no gateway of {STATE.absolute()} runs: start it with `make run` (or `tidegate up`) "
            "in another terminal, and give this command in the same directory. One that runs with "
            "--ephemeral or another --state-dir is not found: send it messages without --demo"
        )
    directory = STATE / "simulated"
    directory.mkdir(mode=0o700, exist_ok=True)
    config = Path(os.environ.get("TIDEGATE_CONFIG") or "tidegate.toml")
    return Place(directory / f"{name}.json", config, gateway_pid)


def play(
    target: Target, place: Place, orders: Orders, *, account: str, channel: str, wide: bool
) -> None:
    """Place an order, pay it, pay it again, forge a payment, refund a part; show and check it.

    Raises ``Failure`` when anything is not as it should be.
    """
    currency = script.usual_currency(target.provider, target.simulator, "paid")
    order_no = f"demo-{secrets.token_hex(4)}"
    (trade,) = script.trades(order_no, Decimal("199.00"), currency, count=1)
    steps = _steps(target.provider)
    forged = next(step for step in steps if step.forged)
    if not _is_known(target, trade, forged):
        _configure(place, target, account)
        deadline_s = time.monotonic() + _RELOAD_S
        while not _is_known(target, trade, forged):
            if time.monotonic() > deadline_s:
                raise Failure(
                    f"the gateway did not take the account from {place.config.absolute()}: does it "
                    f"read another file? Its log is {STATE / 'log' / 'gateway.log'}"
                )
            time.sleep(_POLL_S)
    if "placed" not in target.provider.KINDS:
        content = example_order(order_no, f"b-{order_no}", currency=currency)
        try:
            status = orders.place({**content, "channel": channel})
        except NoAnswer as exc:
            raise Failure(str(exc)) from None
        click.echo(f"placed the order {order_no} of 199.00 {currency}: {status}\n")
    watch = Watch(orders, order_no=order_no, channel=channel)
    sent = run.send(target, [trade], steps, rate=None)
    report.messages(target.provider, sent, wide=wide)
    checked = watch.after(sent)
    if checked is None:
        run.judge(sent, target)
        raise Failure(f"the order cannot be shown: {watch.why_not}")
    checked.show(wide=wide)
    click.echo(f"\nLook at it:\n  {orders.curl(order_no, channel)}\n")
    run.judge(sent, target)
    checked.judge(sent)
    money = checked.order.amounts
    refunded = trade.refunded if any(step.kind == "partial_refund" for step in steps) else 0
    if (Decimal(money.paid), Decimal(money.refunded)) != (trade.amount, refunded):
        raise Failure(f"{money.paid} paid and {money.refunded} refunded is not what was sent")
    click.echo(
        "As it should be: paid once, although the payment was sent twice; the forgery was rejected."
    )


def _steps(provider: Provider) -> list[Step]:
    how: Forgery = "changed" if "changed" in provider.FORGERIES else min(provider.FORGERIES)
    steps = [Step("paid"), Step("paid", 1), Step("paid", forged=how)]
    if "placed" in provider.KINDS:
        steps.insert(0, Step("placed"))
    if "partial_refund" in provider.KINDS:
        steps.append(Step("partial_refund"))
    return steps


def _is_known(target: Target, trade: Trade, forged: Step) -> bool:
    """Return whether the gateway has the account: a forgery of it is rejected, not unknown."""
    (sent,) = run.send(target, [trade], [forged], rate=None)
    return sent.status not in (0, 404) and sent.status < 500


def _configure(place: Place, target: Target, account: str) -> None:
    """Put the account into tidegate.toml and have the gateway read it again.

    Raises ``Wrong`` when the file cannot be extended.
    """
    text = place.config.read_text("utf-8") if place.config.exists() else ""
    try:
        listed = {
            (each.get("provider"), each.get("name"))
            for each in tomllib.loads(text).get("accounts", [])
        }
    except (tomllib.TOMLDecodeError, AttributeError, TypeError) as exc:
        raise Wrong(f"{place.config} is not valid: {exc}") from None
    if (target.name, account) not in listed:
        mark = (
            f"# Simulated: made by `tidegate simulate {target.name} --demo`. Remove it afterwards."
        )
        extended = f"{text.rstrip()}\n\n{mark}\n{target.section}\n".lstrip()
        try:
            tomllib.loads(extended)
        except tomllib.TOMLDecodeError:
            raise Wrong(
                f"{place.config} lists its accounts in another form: put this there and give the "
                f"command again:\n\n{target.section}"
            ) from None
        draft = place.config.with_name(f"{place.config.name}.{os.getpid()}")
        draft.write_text(extended, "utf-8")
        if place.config.exists():
            shutil.copymode(place.config, draft)
        draft.replace(place.config)
        click.echo(f"put the account {target.name}/{account} into {place.config.absolute()}")
    os.kill(place.gateway_pid, signal.SIGHUP)
    click.echo("the gateway reads tidegate.toml again ...")
