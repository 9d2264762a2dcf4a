"""What is printed once everything runs: the addresses, an API key, and a request to paste."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence

_NOW = "NOW"
_EXAMPLE_ORDER = {
    "channel": "web",
    "order_no": f"demo-{_NOW}",
    # Another buyer each time too: the same order of the same buyer within ten minutes would be
    # taken for a repeat and answered with the first one.
    "buyer_id": f"b-{_NOW}",
    "placed_at": "2026-11-23T10:00:00+08:00",
    "currency": "CNY",
    "items": [{"sku": "TEA-1", "name": "Longjing tea 100 g", "quantity": 2, "unit_price": "99.50"}],
    "amounts": {"goods": "199.00", "payable": "199.00"},
    "recipient": {
        "name": "Zhang San",
        "phone": "13800138000",
        "country": "CN",
        "province": "Zhejiang",
        "city": "Hangzhou",
        "district": "Xihu",
        "street": "Longjing Road 1",
    },
}


def greeting(
    *,
    url: str,
    places: Sequence[tuple[str, str]],
    api_key: str,
    restart_hint: str,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """The block of text. `places` are the lines below the URL: a label, and an address or path."""
    rows = [("gateway", url), *places, ("API key", api_key)]
    width = max(len(what) for what, _ in rows)
    table = "\n".join(f"  {what:<{width}}  {where}" for what, where in rows)
    return f"""
Tidegate is up.

{table}

Place an order (paste this into another terminal):

{curl(url=url, api_key=api_key, environ=environ)}

Ctrl-C stops everything. {restart_hint}
"""


def curl(*, url: str, api_key: str, environ: Mapping[str, str] = os.environ) -> str:
    """A command that places the example order, under a new number each second it is pasted."""
    body = json.dumps(_EXAMPLE_ORDER, separators=(",", ":"))
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
