"""`tidegate shed`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import msgspec

from gateway.domain import overrides
from gateway.domain.errors import Unavailable
from gateway.domain.overrides import Override, OverrideRequest
from gateway.runtime import control_socket, settings
from gateway.stores.override_spool import OverrideSpool, SpooledChange
from gateway.stores.postgres.overrides import OverrideStore
from ops import connections
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong
from ops.tables import table

T = TypeVar("T")

#: Seconds that the database has for a word. With those that the gateways of a machine have to
#: answer, and the start of the command, it is to count within five.
_LEDGER_S = 2.0
#: What takes two people can be told nobody else: it waits longer.
_PATIENCE_S = 8.0

_WORDS: dict[str, overrides.Action] = {"on": "shed", "off": "admit", "early": "early"}

_DONE: dict[overrides.Action, str] = {
    "shed": "refused",
    "admit": "taken whatever the load",
    "early": "to go early",
}

_EPILOG = """\
\b
  on      refuse it, whatever the load
  off     take it, whatever the load, as far as slots and memory go
  early   have a tier go dark at a load that is lower by 0.10
  auto    leave it to the load again
  agree   as a second person: let what another one asked for stand
\b
Examples:
  tidegate shed
  tidegate shed order_lists on --for 30m --reason "replica is being rebuilt"
  tidegate shed tier3 off --for 10m --reason "the warehouse needs its lists now"
  tidegate shed tier3 auto
\b
It stands for 30 minutes unless --for says otherwise, for 4 hours at most, and ends by itself;
every process follows within 2 seconds. To refuse callbacks or orders takes two people.
While the database is away, what is said counts on this machine alone and is brought into the
database, with its audit row, afterwards; give control_dir as the gateways have it.
\b
Exits 0 when it stands or waits for a second person, 1 when it could not be done,
2 for a wrong option.
"""


@click.command("shed", epilog=_EPILOG)
@click.argument("target", required=False)
@click.argument("word", required=False, type=click.Choice([*_WORDS, "auto", "agree"]))
@click.option("--for", "for_", default="30m", show_default=True, help="How long: 30m, 1h30m, 90s.")
@click.option("--reason", default="", help="Why; for the audit log and for whoever wonders.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(target: str | None, word: str | None, for_: str, reason: str, as_json: bool) -> None:
    """Refuse or take a feature by hand, for a while.

    TARGET is a feature or a whole tier, tier0 to tier4 (any wrong name lists them). Without a
    target: show what stands.
    """
    loaded = settings.load()
    try:
        if target is None:
            _show(loaded, as_json)
            return
        overrides.features_of(target)
        if word is None:
            raise Wrong("say on, off, early, auto or agree behind the target")
        if word == "agree":
            _agree(loaded, target, as_json)
        elif word == "auto":
            _clear(loaded, target, reason, as_json)
        else:
            order = OverrideRequest(target, _WORDS[word], overrides.seconds(for_), reason, actor())
            overrides.check(order)
            _set(loaded, order, as_json)
    except overrides.InvalidOverride as exc:
        raise Wrong(str(exc)) from exc


def _show(loaded: settings.Settings, as_json: bool) -> None:
    where: Literal["database", "this machine"] = "database"
    apart: list[int] = []
    try:
        found = asyncio.run(_every(loaded))
    except Unavailable as exc:
        answers = control_socket.ask(Path(loaded.control_dir), b"state")
        if not answers:
            raise Failure(
                f"{exc}, and no gateway on this machine answers in {loaded.control_dir}"
            ) from exc
        where = "this machine"
        found, apart = _merged(answers)
    if as_json:
        told = {"where": where, "modes": msgspec.to_builtins(found), "apart": apart}
        click.echo(json.dumps(told))
        return
    for pid in apart:
        click.echo(f"the gateway {pid} does not follow all of this", err=True)
    if not found:
        click.echo("no modes: everything is left to the load", err=True)
    rows = [
        (
            mode.target,
            _DONE[mode.word],
            _state(mode),
            f"{mode.left_s / 60:.0f} min",
            mode.actor + (f", {mode.second}" if mode.second else ""),
            mode.reason,
        )
        for mode in found
    ]
    table(("TARGET", "IS", "STATE", "LEFT", "WHO", "WHY"), rows)


def _merged(answers: Mapping[int, bytes]) -> tuple[list[Override], list[int]]:
    """Return what any of the gateways follows, and those that do not follow all of it."""
    told = {
        pid: msgspec.convert(json.loads(answer)["modes"], list[Override])
        for pid, answer in answers.items()
    }
    found = {(mode.target, mode.word, mode.plan): mode for all_ in told.values() for mode in all_}
    apart = [
        pid
        for pid, all_ in told.items()
        if {(mode.target, mode.word, mode.plan) for mode in all_} != set(found)
    ]
    return list(found.values()), apart


def _set(loaded: settings.Settings, order: OverrideRequest, as_json: bool) -> None:
    needs_second = overrides.needs_second(order.target, order.word)
    try:
        asyncio.run(_order(loaded, order))
    except Unavailable as exc:
        if needs_second:
            raise Failure(
                f"{exc}: to refuse {order.target} takes two people, whom only the database knows"
            ) from exc
        change = SpooledChange(
            order.target, order.word, order.for_s, order.reason, datetime.now(UTC)
        )
        _keep_here(loaded, change, as_json)
        return
    if needs_second:
        agree_min = overrides.AGREE_S / 60
        said = (
            f"{order.target} waits for a second person, who has {agree_min:.0f} minutes: "
            f"tidegate shed {order.target} agree"
        )
    else:
        lasts = f"{order.for_s / 60:.0f} min" if order.for_s >= 60 else f"{order.for_s:.0f} s"
        said = f"{order.target} is {_DONE[order.word]} for {lasts}, everywhere within 2 s"
    _say(as_json, said, stands=not needs_second, where="database", processes=None)


def _clear(loaded: settings.Settings, target: str, reason: str, as_json: bool) -> None:
    reason = reason or "left to the load"
    overrides.check(OverrideRequest(target, "admit", overrides.LONGEST_S, reason, actor()))
    try:
        was_set, holding = asyncio.run(_left(loaded, target, reason))
    except Unavailable:
        _keep_here(
            loaded, SpooledChange(target, None, overrides.LONGEST_S, reason, _now()), as_json
        )
        return
    said = f"{target} is left to the load{'' if was_set else ', as it was'}"
    if holding:
        said = f"nothing is said of {target} itself {'any more' if was_set else 'as it was'}, but "
        said += "; ".join(_held(mode) for mode in holding)
    _say(as_json, said, stands=was_set, where="database", processes=None)


def _held(mode: Override) -> str:
    by = f"the plan {mode.plan}" if mode.plan else mode.actor
    return f"{mode.target} is {_DONE[mode.word]} ({by}, {mode.left_s / 60:.0f} min more)"


def _agree(loaded: settings.Settings, target: str, as_json: bool) -> None:
    order = asyncio.run(_agreed(loaded, target))
    if order is None:
        raise Failure(f"nothing is asked for {target}, or no longer: see `tidegate shed`")
    said = f"{target} is refused for {order.for_s / 60:g} min, as {order.actor} asked"
    _say(as_json, said, stands=True, where="database", processes=None)


def _keep_here(loaded: settings.Settings, change: SpooledChange, as_json: bool) -> None:
    """Keep a change on this machine and have its gateways look at it."""
    directory = Path(loaded.control_dir)
    OverrideSpool(directory=directory).put(change)
    reached = sorted(control_socket.ask(directory, b"look"))
    said = (
        f"the database is away: {change.target} is kept on this machine alone, "
        f"{len(reached)} gateway{'s follow' if len(reached) != 1 else ' follows'}"
    )
    if not reached:
        # What dead processes left there was taken away by asking.
        silent = len(control_socket.sockets(directory))
        if silent:
            said += f"; {silent} listen in {directory} but did not answer in time: see if they run"
        else:
            said += f"; none listens in {directory}, is control_dir the same as theirs?"
    _say(as_json, said, stands=bool(reached), where="this machine", processes=reached)
    if not reached:
        raise click.exceptions.Exit(1)


def _say(
    as_json: bool, said: str, *, stands: bool, where: str, processes: list[int] | None
) -> None:
    if as_json:
        told: dict[str, Any] = {"said": said, "stands": stands, "where": where}
        click.echo(json.dumps(told | ({} if processes is None else {"processes": processes})))
        return
    click.echo(said)


def _state(mode: Override) -> str:
    if mode.is_asked:
        return "waits for a second person"
    if mode.plan is None:
        return "stands"
    begins = f"begins in {mode.starts_s / 60:.0f} min" if mode.starts_s > 0 else "stands"
    return f"{begins} (plan {mode.plan})"


def _now() -> datetime:
    return datetime.now(UTC)


async def _every(loaded: settings.Settings) -> list[Override]:
    return await _asked(loaded, lambda switches: switches.every())


async def _order(loaded: settings.Settings, order: OverrideRequest) -> None:
    is_alone = not overrides.needs_second(order.target, order.word)
    within_s = _LEDGER_S if is_alone else _PATIENCE_S
    await _asked(loaded, lambda switches: switches.set(order), within_s=within_s)


async def _left(loaded: settings.Settings, target: str, reason: str) -> tuple[bool, list[Override]]:
    """Leave a target to the load; return whether it was not, and what holds some of it still."""

    async def leave(switches: OverrideStore) -> tuple[bool, list[Override]]:
        was_set = await switches.clear(target, actor=actor(), reason=reason)
        mine = overrides.features_of(target)
        return was_set, [
            mode
            for mode in await switches.every()
            if not mode.is_asked
            and mode.starts_s <= 0
            and any(feature in mine for feature in overrides.features_of(mode.target))
        ]

    return await _asked(loaded, leave)


async def _agreed(loaded: settings.Settings, target: str) -> OverrideRequest | None:
    return await _asked(
        loaded, lambda switches: switches.agree(target, actor=actor()), within_s=_PATIENCE_S
    )


async def _asked(
    loaded: settings.Settings,
    work: Callable[[OverrideStore], Awaitable[T]],
    *,
    within_s: float = _LEDGER_S,
) -> T:
    """Ask the database. Raises ``Unavailable`` when all of it takes longer."""
    return await connections.briefly(
        loaded, lambda pool: work(OverrideStore(pool=pool)), within_s=within_s
    )
