"""A warehouse that forgets nothing: what comes is verified and written down before the answer.

    python -m loadtest.handoff.recorder --port 8098 --secret-file S --file receipts.jsonl

Killed at any moment, its file holds every request that it has answered with a 2xx, and started
again it continues the file. ``POST /behave`` changes how it answers from then on.
"""

import asyncio
import os
import time
from pathlib import Path
from uuid import UUID

import click
import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

_BODY_BYTES_MAX = 4 * 1024 * 1024


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was verified, in the order of arrival."""

    #: Of the header ``webhook-id``, and of the body: they must agree.
    id: str
    event_id: UUID
    topic: str
    order_id: UUID
    version: int
    status: str
    at_s: float


class Behaviour(msgspec.Struct, frozen=True):
    """How it answers: with which status, after so many seconds, with which further header."""

    status: int = 200
    delay_s: float = 0.0
    location: str = ""


class _Order(msgspec.Struct):
    id: UUID
    version: int
    status: str


class _Data(msgspec.Struct):
    event_id: UUID
    order: _Order


class _Event(msgspec.Struct):
    type: str
    data: _Data


class Recorder:
    """Writes receipts into a file, one line each."""

    def __init__(self, file: Path, *, secret: str) -> None:
        # What was written stays when the process is killed: it is in the cache of the kernel.
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._webhook = Webhook(secret)
        self._behaviour = Behaviour()

    def application(self) -> web.Application:
        """Return the application."""
        made = web.Application(client_max_size=_BODY_BYTES_MAX)
        made.router.add_post("/hand-off", self._take)
        made.router.add_post("/behave", self._behave)
        made.router.add_get("/readyz", self._ready)
        return made

    async def _take(self, request: web.Request) -> web.Response:
        body, behaviour = await request.read(), self._behaviour
        try:
            self._webhook.verify(body, dict(request.headers), json_parse=False)
            event = msgspec.json.decode(body, type=_Event)
        except (WebhookVerificationError, ValueError) as problem:
            return web.Response(status=400, text=str(problem))
        if 200 <= behaviour.status < 300:
            self._write(request.headers["webhook-id"], event)
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)
        headers = {"Location": behaviour.location} if behaviour.location else {}
        return web.Response(status=behaviour.status, headers=headers)

    def _write(self, id_: str, event: _Event) -> None:
        receipt = Receipt(
            id=id_,
            event_id=event.data.event_id,
            topic=event.type,
            order_id=event.data.order.id,
            version=event.data.order.version,
            status=event.data.order.status,
            at_s=time.time(),
        )
        os.write(self._descriptor, msgspec.json.encode(receipt) + b"\n")

    async def _behave(self, request: web.Request) -> web.Response:
        self._behaviour = msgspec.json.decode(await request.read(), type=Behaviour)
        return web.Response()

    async def _ready(self, request: web.Request) -> web.Response:
        return web.Response()


def read(file: Path) -> list[Receipt]:
    """Return what was received, in the order of arrival."""
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=Receipt) for line in lines]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option("--secret-file", type=click.Path(path_type=Path), required=True)
@click.option("--file", type=click.Path(path_type=Path), required=True)
def main(host: str, port: int, secret_file: Path, file: Path) -> None:
    """Receive until SIGTERM or Ctrl-C."""
    recorder = Recorder(file, secret=secret_file.read_text("utf-8").strip())
    web.run_app(recorder.application(), host=host, port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()
