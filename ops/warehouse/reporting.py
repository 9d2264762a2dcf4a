"""Tells the gateway what became of each order: accepted, shipped, delivered."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from ops.warehouse.book import Book, Order
from ops.warehouse.steps import NEXT

_log = logging.getLogger(__name__)
_CALL_S = 10.0
_AT_ONCE = 32
_POLL_INTERVAL_S = 0.25


class Reports:
    """Posts what is due to the gateway, signed, each until it was taken."""

    def __init__(
        self,
        *,
        url: str,
        secret: str,
        book: Book,
        session: aiohttp.ClientSession,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._webhook = Webhook(secret)
        self._book = book
        self._session = session
        self._now_s = now_s

    async def run(self, stopping: asyncio.Event) -> None:
        """Report what is due, until it is asked to stop."""
        while not stopping.is_set():
            await self.report()
            try:
                await asyncio.wait_for(stopping.wait(), _POLL_INTERVAL_S)
            except TimeoutError:
                continue

    async def report(self) -> int:
        """Report what is due now; return how many reports were taken."""
        due = self._book.due(now_s=self._now_s(), limit=_AT_ONCE)
        return sum(await asyncio.gather(*map(self._report, due)))

    async def _report(self, order: Order) -> bool:
        is_taken = await self._post(order)
        if is_taken:
            self._book.advance(order, now_s=self._now_s())
        else:
            self._book.postpone(order, now_s=self._now_s())
        return is_taken

    async def _post(self, order: Order) -> bool:
        topic, _ = NEXT[order.stage]
        now = datetime.fromtimestamp(self._now_s(), UTC)
        body = json.dumps(content(topic, order, now))
        # The same in every try, so that the gateway knows a repeat.
        id_ = f"{topic.replace('.', '_')}_{order.id}"
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(id_, now, body),
        }
        try:
            async with self._session.post(self._url, data=body, headers=headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            _log.warning("%s of %s: no answer (%s)", topic, order.order_no, type(problem).__name__)
            return False
        if 200 <= status < 300:
            _log.info("%s of %s: taken", topic, order.order_no)
            return True
        _log.warning("%s of %s: answered %d", topic, order.order_no, status)
        return False


def content(topic: str, order: Order, at: datetime) -> dict[str, Any]:
    """Return what is reported: see gateway/providers/standard_webhooks.md."""
    data: dict[str, Any] = {"order_no": order.order_no}
    tracking_no = f"TG{order.id.replace('-', '')[-12:].upper()}"
    if topic == "order.accepted":
        data |= {"reference": f"WH-{tracking_no}"}
    elif topic == "order.shipped":
        data |= {"carrier": "SF", "tracking_no": tracking_no}
    elif topic == "order.delivered":
        data |= {"tracking_no": tracking_no}
    return {"type": topic, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data}


def session() -> aiohttp.ClientSession:
    """Return a session for the reports."""
    # A proxy of the environment would be asked to reach this machine's loopback.
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_CALL_S), trust_env=False, auto_decompress=False
    )
