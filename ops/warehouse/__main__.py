"""The process: ``python -m ops.warehouse --port P --gateway URL --directory DIR``."""

import asyncio
import logging
import signal
import time
from pathlib import Path

import click
from aiohttp import web

from ops.warehouse.book import Book
from ops.warehouse.receiving import Receiver
from ops.warehouse.reporting import Reports, session
from ops.warehouse.steps import Pace

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option("--gateway", required=True, help="Where its reports go, with the path.")
@click.option("--secret-in", required=True, type=_FILE,
              help="File of the secret that verifies what comes in.")  # fmt: skip
@click.option("--secret-out", required=True, type=_FILE,
              help="File of the secret that signs its reports.")  # fmt: skip
@click.option("--book", "file", required=True, type=_FILE,
              help="Its file of orders; made at the first start.")  # fmt: skip
@click.option("--accepts-s", type=float, default=Pace().accepts_s, show_default=True)
@click.option("--ships-s", type=float, default=Pace().ships_s, show_default=True)
@click.option("--delivers-s", type=float, default=Pace().delivers_s, show_default=True)
def main(
    host: str,
    port: int,
    gateway: str,
    secret_in: Path,
    secret_out: Path,
    file: Path,
    accepts_s: float,
    ships_s: float,
    delivers_s: float,
) -> None:
    """Take paid orders, and ship them after some seconds, until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    book = Book(file, pace=Pace(accepts_s=accepts_s, ships_s=ships_s, delivers_s=delivers_s))
    book.forget(now_s=time.time())
    receiver = Receiver(secret=_read(secret_in), book=book)
    try:
        asyncio.run(_work(receiver, book, host, port, url=gateway, secret=_read(secret_out)))
    finally:
        book.close()


async def _work(
    receiver: Receiver, book: Book, host: str, port: int, *, url: str, secret: str
) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = web.AppRunner(receiver.application(), access_log=None)
    await runner.setup()
    async with session() as client:
        reports = Reports(url=url, secret=secret, book=book, session=client)
        await web.TCPSite(runner, host, port).start()
        try:
            await reports.run(stopping)
        finally:
            await runner.cleanup()


def _read(file: Path) -> str:
    return file.read_text("utf-8").strip()


if __name__ == "__main__":
    main()
