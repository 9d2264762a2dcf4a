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
from gateway.domain.override_changes import OverrideChange
from gateway.domain.overrides import Override, OverrideRequest
from gateway.runtime import control_socket, settings, settings_source
from gateway.stores.override_spool import OverrideSpool
from gateway.stores.postgres.overrides import OverrideStore
from ops import connections, tables
from ops.commands.api_keys import actor
from ops.failures import Failure, Wrong

T = TypeVar("T")

#: Time-out of the database for an override. With the time-out of the gateways of a machine and the
#: start of the command, the override is active within 5 s.
_LEDGER_S = 2.0
#: The same for what takes two people: only the database can store it, so the command waits longer.
_APPROVAL_LEDGER_S = 8.0

_ACTIONS: dict[str, overrides.Action] = {"on": "shed", "off": "admit", "early": "early"}

_PARTICIPLES: dict[overrides.Action, str] = {
    "shed": "shed",
    "admit": "admitted whatever the load",
    "early": "shed early",
}

_EPILOG = """\
\b
  on      shed it, whatever the load
  off     admit it, whatever the load, within the concurrency limit and memory
  early   shed a tier at a load that is lower by 0.10
  auto    leave it to the load again
  agree   as a second person: approve what another person requested
\b
Examples:
  tidegate shed
  tidegate shed order_lists on --for 30m --reason "replica is being rebuilt"
  tidegate shed tier3 off --for 10m --reason "the warehouse needs its lists now"
  tidegate shed tier3 auto
\b
An override is active for 30 minutes unless --for is given, for 4 hours at most, and ends by
itself; every process follows within 2 seconds. To shed callbacks or orders takes two people.
While the database is unavailable, an override is active on this machine alone and is flushed to
the database, with its audit row, afterwards; control_dir must be that of the gateways.
\b
Exits 0 when it is active or pending approval, 1 when it could not be done, 2 for a wrong option.
"""


@click.command("shed", epilog=_EPILOG)
@click.argument("target", required=False)
@click.argument("word", required=False, type=click.Choice([*_ACTIONS, "auto", "agree"]))
@click.option("--for", "for_", default="30m", show_default=True, help="How long: 30m, 1h30m, 90s.")
@click.option("--reason", default="", help="Why; kept in the audit log.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@tables.wide_option
def command(
    target: str | None, word: str | None, for_: str, reason: str, as_json: bool, wide: bool
) -> None:
    """Shed or admit a feature by hand, for a while.

    TARGET is a feature or a whole tier, tier0 to tier4 (any wrong name lists them). Without a
    target: show the overrides.
    """
    loaded = settings_source.load()
    try:
        if target is None:
            _show(loaded, as_json, wide=wide)
            return
        overrides.features_of(target)
        if word is None:
            raise Wrong("give on, off, early, auto or agree after the target")
        if word == "agree":
            _approve(loaded, target, as_json)
        elif word == "auto":
            _clear(loaded, target, reason, as_json)
        else:
            request = OverrideRequest(
                target, _ACTIONS[word], overrides.parse_duration_s(for_), reason, actor()
            )
            overrides.check(request)
            _set(loaded, request, as_json)
    except overrides.InvalidOverride as exc:
        raise Wrong(_worded(exc)) from exc


def _worded(exc: overrides.InvalidOverride) -> str:
    """Name the options of this command in place of the fields of a request."""
    match exc.field:
        case "target":
            return f"TARGET {exc.reason}"
        case "for_s":
            return f"--for must be from 1 s to {overrides.DURATION_S_MAX / 3600:g} h"
        case "for" | "reason":
            return f"--{exc.field} {exc.reason}"
        case "actor":
            return f"who runs this (you are {actor()} on this machine) {exc.reason}"
        case _:
            return exc.reason


def _show(loaded: settings.Settings, as_json: bool, *, wide: bool) -> None:
    where: Literal["database", "this machine"] = "database"
    apart: list[int] = []
    try:
        found = asyncio.run(_every(loaded))
    except Unavailable as exc:
        states = control_socket.ask(Path(loaded.control_dir), b"state")
        if not states:
            raise Failure(
                f"{exc}, and no gateway on this machine answers in {loaded.control_dir}"
            ) from exc
        where = "this machine"
        found, apart = _merged(states)
    if as_json:
        shown = {"where": where, "modes": msgspec.to_builtins(found), "apart": apart}
        click.echo(json.dumps(shown))
        return
    for pid in apart:
        click.echo(f"the gateway {pid} does not follow all of these", err=True)
    if not found:
        click.echo("no overrides: everything is left to the load", err=True)
    rows = [
        (
            each.target,
            _PARTICIPLES[each.action],
            _state(each),
            f"{each.left_s / 60:.0f} min",
            each.actor + (f", {each.approved_by}" if each.approved_by else ""),
            each.reason,
        )
        for each in found
    ]
    heads = ("TARGET", "IS", "STATE", "LEFT", "WHO", "WHY")
    tables.table(heads, rows, wide=wide, spare=("WHO",))


def _merged(states: Mapping[int, bytes]) -> tuple[list[Override], list[int]]:
    """Return the overrides that any gateway follows, and the pids that do not follow all."""
    followed = {
        pid: msgspec.convert(json.loads(state)["modes"], list[Override])
        for pid, state in states.items()
    }
    found = {_identity(each): each for all_ in followed.values() for each in all_}
    apart = [pid for pid, all_ in followed.items() if set(map(_identity, all_)) != set(found)]
    return list(found.values()), apart


def _identity(override: Override) -> tuple[str, overrides.Action, str | None]:
    return override.target, override.action, override.plan


def _set(loaded: settings.Settings, request: OverrideRequest, as_json: bool) -> None:
    needs_approval = overrides.needs_approval(request.target, request.action)
    try:
        asyncio.run(_request(loaded, request))
    except Unavailable as exc:
        if needs_approval:
            raise Failure(
                f"{exc}: to shed {request.target} takes two people; only the database knows both"
            ) from exc
        _spool(
            loaded,
            OverrideChange(request.target, request.action, request.for_s, request.reason, _now()),
            as_json,
        )
        return
    if needs_approval:
        approval_min = overrides.APPROVAL_S / 60
        text = (
            f"{request.target} is pending the approval of a second person within "
            f"{approval_min:.0f} minutes: tidegate shed {request.target} agree"
        )
    else:
        for_s = request.for_s
        lasts = f"{for_s / 60:.0f} min" if for_s >= 60 else f"{for_s:.0f} s"
        text = (
            f"{request.target} is {_PARTICIPLES[request.action]} for {lasts}, everywhere within 2 s"
        )
    _print(as_json, text, is_active=not needs_approval, where="database", processes=None)


def _clear(loaded: settings.Settings, target: str, reason: str, as_json: bool) -> None:
    reason = reason or "left to the load"
    overrides.check(OverrideRequest(target, "admit", overrides.DURATION_S_MAX, reason, actor()))
    try:
        was_set, others = asyncio.run(_cleared(loaded, target, reason))
    except Unavailable:
        change = OverrideChange(target, None, overrides.DURATION_S_MAX, reason, _now())
        _spool(loaded, change, as_json)
        return
    text = f"{target} is left to the load{'' if was_set else ', as it was'}"
    if others:
        text = f"{target} itself has no override{' any more' if was_set else ', as before'}, but "
        text += "; ".join(_described(each) for each in others)
    _print(as_json, text, is_active=was_set, where="database", processes=None)


def _described(override: Override) -> str:
    by = f"the plan {override.plan}" if override.plan else override.actor
    left_min = f"{override.left_s / 60:.0f} min more"
    return f"{override.target} is {_PARTICIPLES[override.action]} ({by}, {left_min})"


def _approve(loaded: settings.Settings, target: str, as_json: bool) -> None:
    request = asyncio.run(_approved(loaded, target))
    if request is None:
        raise Failure(f"nothing is pending on {target}, or no longer: see `tidegate shed`")
    text = f"{target} is shed for {request.for_s / 60:g} min, as {request.actor} requested"
    _print(as_json, text, is_active=True, where="database", processes=None)


def _spool(loaded: settings.Settings, change: OverrideChange, as_json: bool) -> None:
    """Store a change in the override spool of this machine and have its gateways refresh."""
    directory = Path(loaded.control_dir)
    OverrideSpool(directory=directory).put(change)
    reached = sorted(control_socket.ask(directory, b"look"))
    text = (
        f"the database is unavailable: {change.target} is changed on this machine alone, "
        f"{len(reached)} gateway{'s follow' if len(reached) != 1 else ' follows'}"
    )
    if not reached:
        # `ask` has removed the sockets of dead processes: those that are left did not answer.
        silent = len(control_socket.sockets(directory))
        if silent:
            text += f"; {silent} listen in {directory} but did not answer in time: do they run?"
        else:
            text += f"; none listens in {directory}, is control_dir the same as theirs?"
    _print(as_json, text, is_active=bool(reached), where="this machine", processes=reached)
    if not reached:
        raise click.exceptions.Exit(1)


def _print(
    as_json: bool, text: str, *, is_active: bool, where: str, processes: list[int] | None
) -> None:
    if as_json:
        result: dict[str, Any] = {"said": text, "stands": is_active, "where": where}
        click.echo(json.dumps(result | ({} if processes is None else {"processes": processes})))
        return
    click.echo(text)


def _state(override: Override) -> str:
    if override.is_pending:
        return "pending approval"
    if override.plan is None:
        return "active"
    starts_s = override.starts_s
    state = f"begins in {starts_s / 60:.0f} min" if starts_s > 0 else "active"
    return f"{state} (plan {override.plan})"


def _now() -> datetime:
    return datetime.now(UTC)


async def _every(loaded: settings.Settings) -> list[Override]:
    return await _in_store(loaded, lambda store: store.every())


async def _request(loaded: settings.Settings, request: OverrideRequest) -> None:
    needs_approval = overrides.needs_approval(request.target, request.action)
    within_s = _APPROVAL_LEDGER_S if needs_approval else _LEDGER_S
    await _in_store(loaded, lambda store: store.set(request), within_s=within_s)


async def _cleared(
    loaded: settings.Settings, target: str, reason: str
) -> tuple[bool, list[Override]]:
    """Clear the override of a target; return whether it had one, and which others apply."""

    async def clear(store: OverrideStore) -> tuple[bool, list[Override]]:
        was_set = await store.clear(target, actor=actor(), reason=reason)
        features = overrides.features_of(target)
        return was_set, [
            each
            for each in await store.every()
            if each.is_active()
            and any(feature in features for feature in overrides.features_of(each.target))
        ]

    return await _in_store(loaded, clear)


async def _approved(loaded: settings.Settings, target: str) -> OverrideRequest | None:
    return await _in_store(
        loaded,
        lambda store: store.approve(target, actor=actor()),
        within_s=_APPROVAL_LEDGER_S,
    )


async def _in_store(
    loaded: settings.Settings,
    work: Callable[[OverrideStore], Awaitable[T]],
    *,
    within_s: float = _LEDGER_S,
) -> T:
    """Run ``work`` on the overrides in the database. Raises ``Unavailable`` after ``within_s``."""
    return await connections.briefly(
        loaded, lambda pool: work(OverrideStore(pool=pool)), within_s=within_s
    )
