"""The options of a rehearsal with Locust, checked before anything is sent.

The same check serves the command line and the form of Locust's page, which posts every field as
text.
"""

import http.client
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ops.simulators import keys, registry
from ops.simulators.contract import Simulator, Trade

#: Where `make run` puts the key that it makes.
DEFAULT_KEY_FILE = Path(".tidegate/api-key")
KEY_VARIABLE = "TIDEGATE_API_KEY"
#: Seconds from the quiet minute to the peak.
CLIMB_S = 10.0
_DAY_S = 86400.0
_ANSWER_S = 5.0
#: By field: the least value and the largest.
NUMBERS = {
    "peak": (0.1, 100_000.0),
    "minutes": (0.0, _DAY_S / 60),
    "quiet_s": (0.0, _DAY_S),
    "hold_s": (0.0, _DAY_S),
    "after_s": (0.0, _DAY_S),
}


class Wrong(ValueError):
    """An option cannot be used; the message names it and says what it must be."""


class Phase(NamedTuple):
    """A part of the sale: until when, in seconds from the start, and its share of the peak."""

    ends_s: float
    share: float


class Paying(NamedTuple):
    """A simulated provider: the path of its callbacks, and what signs them."""

    path: str
    simulator: Simulator


def phases(*, minutes: float, quiet_s: float, hold_s: float, after_s: float) -> list[Phase]:
    """Return the shape of the sale. With ``minutes`` there is a climb and the peak alone."""
    if minutes:
        quiet_s, hold_s, after_s = 0.0, minutes * 60, 0.0
    peak_ends_s = quiet_s + CLIMB_S + hold_s
    return [Phase(quiet_s, 0.05), Phase(peak_ends_s, 1.0), Phase(peak_ends_s + after_s, 0.4)]


def faults(fields: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the fields of a form, a sentence each; fields may be missing."""
    found: list[str] = []
    for name in NUMBERS:
        if name in fields:
            found += _fault_of(partial(number, name), fields[name])
    if "host" in fields:
        found += _fault_of(host, fields["host"])
    if "payments" in fields:
        found += _fault_of(providers, fields["payments"])
    return found


def number(name: str, text: str) -> float:
    """Return the value of one of ``NUMBERS``. Raises ``Wrong``."""
    least, most = NUMBERS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise Wrong(f"{name} must be a number from {least:g} to {most:g}, not {text[:40]!r}")
    return value


def host(text: str) -> str:
    """Return the address of a gateway without a slash at its end. Raises ``Wrong``."""
    try:
        url = urlsplit(text.strip())
        is_valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or url.path.strip("/") or url.query or url.fragment:
        raise Wrong(f"host must be like http://127.0.0.1:8080, not {text[:80]!r}")
    return text.strip().rstrip("/")


def providers(text: str) -> list[Paying]:
    """Return the providers of ``PROVIDER[/ACCOUNT]=FILE,...``. Raises ``Wrong``."""
    return [_provider(each.strip()) for each in text.split(",") if each.strip()]


def api_key(file: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the key of a named file, else that of the environment, else the one of `make run`.

    Raises ``Wrong``.
    """
    if file is None and environ.get(KEY_VARIABLE):
        return environ[KEY_VARIABLE].strip()
    try:
        key = (file or DEFAULT_KEY_FILE).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key.isascii() or not key.isprintable() or not key:
        raise Wrong(
            f"there is no API key in {file or DEFAULT_KEY_FILE}: start the gateway with "
            f"`make run`, name the file with --key-file (KEY_FILE= with make), or set "
            f"{KEY_VARIABLE}; "
            "`tidegate keys create --name rehearsal --role ingest --role query` makes a key"
        )
    return key


def check_gateway(address: str, key: str) -> None:
    """Ask the gateway once. Raises ``Wrong`` when it is not there or does not know the key."""
    url = urlsplit(address)
    of = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = of(url.hostname or "", url.port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/v1/orders?limit=1", headers={"Authorization": f"Bearer {key}"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        raise Wrong(
            f"nothing answers at {address} ({exc}): start a gateway (`make run` in another "
            "terminal), or name it with --host (HOST= with make)"
        ) from None
    finally:
        connection.close()
    if status in (401, 403):
        raise Wrong(f"the gateway at {address} does not accept the API key for reading orders")


def _provider(option: str) -> Paying:
    provider_account, equals, file = option.partition("=")
    provider, _, account = provider_account.partition("/")
    if not equals or provider not in registry.names():
        known = ", ".join(registry.names())
        raise Wrong(f"payments: {option!r} is not PROVIDER=FILE, with a provider of {known}")
    module = registry.provider(provider)
    try:
        simulator = module.simulator(keys.load(Path(file)))
    except (ValueError, LookupError) as exc:
        raise Wrong(f"payments: {exc}") from None
    if "paid" not in module.KINDS or not _pays_yuan(simulator):
        raise Wrong(f"payments: {provider} takes no payments in CNY here")
    return Paying(f"/v1/callbacks/{provider}/{account or 'main'}", simulator)


def _pays_yuan(simulator: Simulator) -> bool:
    trade = Trade("1", "1", Decimal("1.00"), Decimal(0), "CNY")
    try:
        simulator.message("paid", trade, at=datetime.now(UTC))
    except ValueError:
        return False
    return True


def _fault_of(check: Callable[[str], object], text: str) -> Sequence[str]:
    try:
        check(text)
    except Wrong as exc:
        return [str(exc)]
    return []
