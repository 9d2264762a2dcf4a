"""Orders at a gateway, over its API: placed, found by their number, and their history."""

import http.client
import json
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from ops.failures import Wrong

KEY_VARIABLE = "TIDEGATE_API_KEY"
#: Where `tidegate up` puts the key that it makes.
KEY_FILE = Path(".tidegate/api-key")
_ANSWER_S = 10.0
_T = TypeVar("_T")


class NoAnswer(Exception):
    """The gateway did not answer as expected; the message says what it did."""


class Money(Struct, frozen=True):
    """The money of an order, as decimal strings."""

    payable: str
    paid: str
    refunded: str


class Order(Struct, frozen=True):
    """An order as the gateway shows it."""

    id: str
    channel: str
    order_no: str
    status: str
    hold: str | None
    currency: str
    amounts: Money

    @property
    def payable(self) -> Decimal:
        """What its buyer owes."""
        return Decimal(self.amounts.payable)


class Event(Struct, frozen=True):
    """One line of an order's history."""

    id: str
    action: str
    from_status: str | None
    to_status: str | None
    outcome: str
    reason: str | None
    detail: str | None
    source: str


class _Page(Struct, frozen=True):
    orders: list[Order]


class _History(Struct, frozen=True):
    events: list[Event]


class Key(Struct, frozen=True):
    """An API key, and how a shell gets it."""

    token: str
    in_shell: str


def find_key(environ: Mapping[str, str] = os.environ) -> Key | None:
    """Return the key of the environment, else the one of `tidegate up` in this directory.

    None where there is neither. Raises ``Wrong`` for what cannot be a key.
    """
    if token := environ.get(KEY_VARIABLE, "").strip():
        return Key(_checked(token, KEY_VARIABLE), f"${KEY_VARIABLE}")
    try:
        token = KEY_FILE.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Key(_checked(token, str(KEY_FILE)), f"$(cat {KEY_FILE})") if token else None


def _checked(token: str, source: str) -> str:
    # Not quoted: it may be part of a key.
    if not token.isascii() or not token.isprintable():
        raise Wrong(f"{source} holds no API key: characters in it cannot be sent")
    return token


class Orders:
    """The orders of one gateway, as far as a key may see them."""

    def __init__(self, *, url: str, key: Key) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def find(self, order_no: str, channel: str) -> Order | None:
        """Return the order; None when there is none. Raises ``NoAnswer``."""
        path = f"/v1/orders?order_no={quote(order_no, safe='')}&channel={quote(channel, safe='')}"
        found = self._get(path, _Page).orders
        return found[0] if found else None

    def history(self, order: Order) -> list[Event]:
        """Return what happened to the order, oldest first. Raises ``NoAnswer``."""
        return self._get(f"/v1/orders/{order.id}/events", _History).events

    def place(self, order: Mapping[str, Any]) -> int:
        """Submit an order; return the status. Raises ``NoAnswer`` unless it was accepted."""
        status, body = self._ask("POST", "/v1/orders", json.dumps(order).encode())
        if status not in (200, 201, 202):
            raise NoAnswer(f"the order was answered {status}: {_summary(body)}")
        return status

    def curl(self, order_no: str, channel: str) -> str:
        """Return a command that shows the order."""
        query = f"order_no={quote(order_no, safe='')}&channel={quote(channel, safe='')}"
        return (
            f'curl -sS -H "Authorization: Bearer {self._key.in_shell}" '
            f"'{self._url}/v1/orders?{query}'"
        )

    def _get(self, path: str, of_type: type[_T]) -> _T:
        status, body = self._ask("GET", path, None)
        if status != 200:
            raise NoAnswer(f"GET {path.partition('?')[0]} was answered {status}: {_summary(body)}")
        try:
            return msgspec.json.decode(body, type=of_type)
        except msgspec.MsgspecError as exc:
            raise NoAnswer(f"GET {path.partition('?')[0]}: {exc}") from None

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        url = urlsplit(self._url)
        of = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = of(url.hostname or "", url.port, timeout=_ANSWER_S)
        headers = {
            "Authorization": f"Bearer {self._key.token}",
            "Content-Type": "application/json",
        }
        try:
            connection.request(method, url.path + path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise NoAnswer(f"no answer from {self._url} ({exc})") from None
        finally:
            connection.close()


def _summary(body: bytes) -> str:
    """Return the title and the detail of a problem, or the beginning of the body."""
    try:
        problem = json.loads(body)
        summary = ": ".join(filter(None, (problem.get("title"), problem.get("detail"))))
    except (ValueError, AttributeError, TypeError):
        summary = ""
    return summary or body[:200].decode("utf-8", "replace")
