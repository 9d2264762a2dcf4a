"""What is printed once everything runs: the addresses, an API key, and a request to paste."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.harness.example_order import example_order

_NOW = "NOW"


def greeting(
    *,
    url: str,
    places: Sequence[tuple[str, str]],
    state: Path,
    api_key: str,
    warehouse_url: str,
    restart_hint: str,
    program: str = "tidegate",
    environ: Mapping[str, str] = os.environ,
) -> str:
    """The block of text. `places` are the lines below the URL: a label, and an address or path.

    `warehouse_url` is the page of the demonstration warehouse; empty where there is none.
    `program` is how the reader runs `tidegate`.
    """
    rows = [
        ("gateway", url),
        ("its API", f"{url}/docs"),
        *places,
        ("API key", f"{api_key}  (in {shlex.quote(str(state / 'api-key'))})"),
    ]
    width = max(len(what) for what, _ in rows)
    table = "\n".join(f"  {what:<{width}}  {where}" for what, where in rows)
    return f"""
Tidegate is up.

{table}

Place an order (paste this into another terminal):

{curl(url=url, api_key=api_key, environ=environ)}

In that terminal this sets the addresses, TIDEGATE_URL and TIDEGATE_API_KEY, for
`{program} doctor`, `{program} keys` and so on:

  . {shlex.quote(str(state / "env"))}
{_shipping(warehouse_url, program)}
Ctrl-C stops everything. {restart_hint}
"""


def _shipping(warehouse_url: str, program: str) -> str:
    if not warehouse_url:
        return ""
    return f"""
A warehouse for demonstration accepts, ships and delivers what is paid, within
ten seconds (--bare leaves it out). To see an order paid, and follow it there:

  {program} simulate standard_webhooks --demo
  curl {warehouse_url}
"""


def curl(*, url: str, api_key: str, environ: Mapping[str, str] = os.environ) -> str:
    """A command that places the example order, under a new number each second it is pasted."""
    order = example_order(f"demo-{_NOW}", f"b-{_NOW}")
    body = json.dumps(order, separators=(",", ":"))
    quoted = "$(date +%s)".join(shlex.quote(part) for part in body.split(_NOW))
    # curl would ask a proxy of the environment to reach this machine's loopback.
    proxied = any(environ.get(name) for name in ("http_proxy", "all_proxy", "ALL_PROXY"))
    options = "--noproxy '*' " if proxied else ""
    return (
        f"curl -sS {options}-w '\\n' {shlex.quote(url + '/v1/orders')} \\\n"
        f"  -H {shlex.quote('Authorization: Bearer ' + api_key)} \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d {quoted}"
    )
