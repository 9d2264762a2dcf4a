"""Send orders and callbacks, and record every answer before it is used."""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
import orjson

from loadtest.history import (
    NO_ANSWER,
    NOT_CONNECTED,
    Answer,
    CallbackSent,
    History,
    Kind,
    OrderSent,
)
from loadtest.payers.contract import Forgery, Message, Payer, Payment, Refund, Report

#: The name of each account in the settings of the gateway.
ACCOUNT_NAME = "main"
#: Longer than the gateway ever takes to answer 503.
ANSWER_S = 15.0
_NONE, _NOT_CONNECTED = Answer(NO_ANSWER), Answer(NOT_CONNECTED)


class Order(msgspec.Struct, kw_only=True):
    """An order to send: its bytes, and the record of its answers."""

    sent: OrderSent
    body: bytes
    #: The ``Idempotency-Key``; empty for none.
    request_id: str = ""


class Callback(msgspec.Struct, kw_only=True):
    """A callback to send: the payer that signs it, and the record of its answers."""

    sent: CallbackSent
    payer: Payer
    message: Message


def order(content: Mapping[str, Any], history: History, *, request_id: str = "") -> Order:
    """Make an order ready to send, from its JSON content."""
    sent = OrderSent(
        channel=content["channel"],
        order_no=content["order_no"],
        currency=content["currency"],
        payable=Decimal(content["amounts"]["payable"]),
    )
    history.add_order(sent)
    return Order(sent=sent, body=orjson.dumps(content), request_id=request_id)


def payment(
    of: OrderSent, payer: Payer, history: History, *, amount: Decimal, part: str = ""
) -> Callback:
    """Make a payment of an order ready to send; the amount may be wrong, or a ``part``."""
    return _callback("payment", of, payer, payer.pay(_paid(of, amount, part)), history, amount)


def report(
    kind: Report, of: OrderSent, payer: Payer, history: History, *, back: Decimal, parcel: str = ""
) -> Callback:
    """Make ready to send that a refund of ``back`` failed, or a dispute or a parcel of an order."""
    message = payer.report(kind, _paid(of, of.payable, parcel), back=back)
    amount = back if kind == "refund_failed" else of.payable
    return _callback(kind, of, payer, message, history, amount)


def forgery(of: OrderSent, payer: Payer, history: History, *, how: Forgery) -> Callback:
    """Make a forged payment ready to send: nothing was paid, and all else is right."""
    message = payer.forge(_paid(of, of.payable), how)
    made = _callback("payment", of, payer, message, history, of.payable)
    made.sent.is_forged = True
    return made


def refund(
    of: OrderSent, payer: Payer, history: History, *, number: int, amount: Decimal, total: Decimal
) -> Callback:
    """Make a refund ready to send: the ``number``-th of an order, ``total`` so far."""
    message = payer.refund(Refund(_paid(of, of.payable), number, amount, total))
    reported = total if payer.is_cumulative else amount
    return _callback("refund", of, payer, message, history, reported)


def _paid(of: OrderSent, amount: Decimal, part: str = "") -> Payment:
    serial = "".join(filter(str.isalnum, of.order_no)) + part
    return Payment(serial, of.order_no, amount, of.currency)


def _callback(
    kind: Kind, of: OrderSent, payer: Payer, message: Message, history: History, amount: Decimal
) -> Callback:
    sent = CallbackSent(
        source=f"{payer.provider}:{ACCOUNT_NAME}",
        keys=message.keys,
        kind=kind,
        channel=of.channel,
        order_no=of.order_no,
        transaction_id=message.transaction_id,
        amount=amount,
        currency=of.currency,
        is_cumulative=payer.is_cumulative,
    )
    history.callbacks.append(sent)
    return Callback(sent=sent, payer=payer, message=message)


class Sender:
    """Sends over the connections of a session."""

    def __init__(self, session: aiohttp.ClientSession, *, token: str, url: str = "") -> None:
        self._session = session
        self._token = token
        self._url = url
        #: Attempts that were made.
        self.attempts = 0
        #: Seconds that the slowest callback took: providers time out after five.
        self.slowest_callback_s = 0.0

    async def send(self, message: Order | Callback) -> Answer:
        """Make one attempt; record and return its answer. Does not raise for a bad one."""
        self.attempts += 1
        began_s = time.monotonic()
        try:
            if isinstance(message, Order):
                answer = await self._place(message)
            else:
                answer = await self._call_back(message)
        except aiohttp.ClientConnectorError:
            answer = _NOT_CONNECTED
        except (TimeoutError, aiohttp.ClientError, OSError):
            answer = _NONE
        if isinstance(message, Callback):
            took_s = time.monotonic() - began_s
            self.slowest_callback_s = max(self.slowest_callback_s, took_s)
        message.sent.answers.append(answer)
        return answer

    async def send_until_answered(
        self, message: Order | Callback, *, pause_s: float = 0.05
    ) -> Answer:
        """Send again, without a limit, until it is acknowledged or refused."""
        while True:
            answer = await self.send(message)
            if answer.is_promise or 400 <= answer.status < 500:
                return answer
            await asyncio.sleep(pause_s)

    async def _place(self, order: Order) -> Answer:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        if order.request_id:
            headers["Idempotency-Key"] = order.request_id
        async with self._session.post(
            f"{self._url}/v1/orders", data=order.body, headers=headers
        ) as answer:
            body = await answer.read()
        if answer.status not in (200, 201, 202):
            return Answer(answer.status)
        return Answer(answer.status, is_promise=True, id=orjson.loads(body)["id"], body=body)

    async def _call_back(self, callback: Callback) -> Answer:
        posted = callback.message.sign()
        url = f"{self._url}/v1/callbacks/{callback.payer.provider}/{ACCOUNT_NAME}"
        async with self._session.post(url, data=posted.body, headers=posted.headers) as answer:
            body = await answer.read()
        return Answer(answer.status, is_promise=callback.payer.is_acknowledged(answer.status, body))


def session(connections: int, *, base_url: str | None = None) -> aiohttp.ClientSession:
    """Return a session of at most so many connections, with a time-out of ``ANSWER_S``."""
    return aiohttp.ClientSession(
        base_url,
        # Shorter than the gateway's own: no request goes to a connection that is being closed.
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=4.0),
        timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        # A proxy of the environment would be measured too.
        trust_env=False,
    )
