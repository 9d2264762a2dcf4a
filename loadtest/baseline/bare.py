"""Baseline (a): an aiohttp server that does nothing with an order.

It reads the body and answers a constant: what remains is the cost of HTTP itself.

    python -m loadtest.baseline.bare --port 8001
"""

import asyncio
import socket

import click
import uvloop
from aiohttp import web

_ANSWER = (
    b'{"id":"01936f6e-0000-7000-8000-000000000000","channel":"web","order_no":"lt-00000000",'
    b'"status":"pending_payment","version":1,"hold":null}'
)


async def place(request: web.Request) -> web.Response:
    """Read the order and discard it."""
    await request.read()
    return web.Response(status=201, body=_ANSWER, content_type="application/json")


async def ready(_request: web.Request) -> web.Response:
    """Answer that the server is up."""
    return web.Response(text="ready")


def application() -> web.Application:
    """Return the application with its two routes."""
    app = web.Application()
    app.router.add_post("/v1/orders", place)
    app.router.add_get("/readyz", ready)
    return app


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
def main(host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(
        application(), host=host, port=port, loop=loop, access_log=None, print=lambda _text: None,
        backlog=socket.SOMAXCONN,
    )  # fmt: skip


if __name__ == "__main__":
    main()
