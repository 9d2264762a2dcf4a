"""The targets: what is wrong with their settings, and whether a webhook's server can be reached."""

import asyncio
from collections.abc import Mapping

from gateway.clients.webhook import WebhookSender
from gateway.runtime.clock import SystemClock
from gateway.runtime.settings import Settings, SettingsError
from gateway.runtime.settings_targets import Target
from ops.doctor.findings import Finding, fail, ok, warn
from workers.senders import open_sender

#: Seconds for a connection. All are tried at once.
_REACH_S = 5.0


async def targets(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Make the sender of every target, as a worker will. Nothing is sent to any."""
    if not settings.targets:
        return [ok("targets", "none configured: orders are handed on to nobody")]
    return await asyncio.gather(*[_target(target, environ) for target in settings.targets])


async def _target(target: Target, environ: Mapping[str, str]) -> Finding:
    check = f"target {target.name}"
    try:
        sender = open_sender(target, clock=SystemClock(), environ=environ)
    except SettingsError as exc:
        advice = "correct it in tidegate.toml; until then no worker starts"
        return fail(check, str(exc).removeprefix(f"targets: {target.name}: "), advice)
    told = f"is told {', '.join(target.topics) or 'everything'}"
    try:
        if not isinstance(sender, WebhookSender):
            return ok(check, f"{target.kind}: {told}")
        async with asyncio.timeout(_REACH_S):
            why = await sender.reach()
    except TimeoutError:
        why = f"no connection within {_REACH_S:g} s"
    finally:
        await sender.close()
    if why == "the address is not public":
        advice = "if it is yours, allow it: private_addresses of the target"
        return warn(check, f"cannot be called: {why}", advice)
    if why:
        return warn(check, f"cannot be reached from here: {why}", "see that its server runs")
    return ok(check, f"webhook: can be reached; {told}")
