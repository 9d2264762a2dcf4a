"""Takes webhooks: verified by the official library, written down before the 2xx.

Any receiver does the same: verify the bytes as they came, recognise repeats by the id of the event,
commit, and only then answer with a 2xx. Whoever answers first loses the order when it is killed.
"""

import time
from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec import Struct
from standardwebhooks import Webhook, WebhookVerificationError

from ops.warehouse.book import Book, Order

_BODY_BYTES_MAX = 1024 * 1024
_SHOWN_MAX = 50


class _Told(Struct):
    id: str
    channel: str
    order_no: str


class _Data(Struct):
    order: _Told


class Event(Struct):
    """A webhook of the gateway: what the warehouse reads of it."""

    type: str
    data: _Data


class Receiver:
    """The HTTP side of the warehouse."""

    def __init__(self, *, secret: str, book: Book, now_s: Callable[[], float] = time.time) -> None:
        self._webhook = Webhook(secret)
        self._book = book
        self._now_s = now_s

    def application(self) -> web.Application:
        """Return the application: the webhook, and a page of the orders."""
        made = web.Application(client_max_size=_BODY_BYTES_MAX)
        made.router.add_post("/hand-off", self._take)
        made.router.add_get("/", self._show)
        made.router.add_get("/readyz", self._ready)
        return made

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            # The library parses too, but by other rules than ours: only its verdict is used.
            self._webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as problem:
            return web.Response(status=401, text=f"not verified: {problem}\n")
        try:
            event = msgspec.json.decode(body, type=Event)
        except msgspec.MsgspecError as problem:
            return web.Response(status=422, text=f"not understood: {problem}\n")
        told = event.data.order
        order = Order(told.id, told.channel, told.order_no, "taken")
        is_new = self._book.record(
            request.headers["webhook-id"], event.type, order, now_s=self._now_s()
        )
        return web.json_response({"received": True, "is_repeat": not is_new})

    async def _show(self, request: web.Request) -> web.Response:
        rows = [("ORDER", "CHANNEL", "STAGE")]
        rows += [
            (each.order_no, each.channel, each.stage) for each in self._book.newest(_SHOWN_MAX)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["A warehouse for demonstration: it ships what is paid. Its newest orders:", ""]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
        return web.Response(text="\n".join(lines) + "\n")

    async def _ready(self, request: web.Request) -> web.Response:
        return web.Response(text="ready\n")
