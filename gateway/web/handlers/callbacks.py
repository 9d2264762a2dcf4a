"""POST /v1/callbacks/{provider}/{account}: a provider says that something happened."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from msgspec import Struct

from gateway.domain.errors import Refused, Unavailable
from gateway.intake.accept import Intake
from gateway.intake.rejected_callbacks import RejectedCallbackRecorder
from gateway.intake.shop_message import ShopMessage, accept
from gateway.providers.contract import Adapter, Answer, DocumentMissing, Learner, Message, Reading
from gateway.runtime.clock import Clock
from gateway.runtime.logs import Seldom
from gateway.web import request_body
from gateway.web.metrics import REFUSED_CALLBACKS
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response

_log = logging.getLogger(__name__)
# A provider with a wrong key repeats for days; the counter has the numbers.
_log.addFilter(Seldom(10.0))


class ProviderAccount(Struct, frozen=True):
    """A configured account: its adapter, and the channels whose orders it is paid for."""

    provider: str
    account: str
    channels: tuple[str, ...]
    adapter: Adapter


class CallbackIntake:
    """Handles callbacks: the same steps for every provider, its dialect behind the adapter."""

    def __init__(
        self,
        *,
        intake: Intake,
        lines: Mapping[tuple[str, str], ProviderAccount],
        refusals: RejectedCallbackRecorder,
        clock: Clock,
        new_id: Callable[[], UUID],
        fetch: Callable[[str], Awaitable[bytes]],
        bytes_max: int,
        body_s: float,
    ) -> None:
        self._intake = intake
        self._lines = lines
        self._refusals = refusals
        self._clock = clock
        self._new_id = new_id
        self._fetch = fetch
        self._bytes_max = bytes_max
        self._body_s = body_s

    async def receive(self, request: Request) -> Response:
        """Answer in the provider's own terms, its success reply only after the commit."""
        provider, account = request.path_values
        line = self._lines.get((provider, account))
        if line is None:
            raise Answered(problem("not-found", "no such provider account is configured"))
        if request.raw.headers.get("Content-Encoding", "identity") != "identity":
            raise Answered(problem("unsupported-media-type", "signed bodies are taken as they are"))
        body = await request_body.read(request, bytes_max=self._bytes_max, body_s=self._body_s)
        message = Message(headers=request.raw.headers, body=body, now=self._clock.now())
        try:
            reading = await self._read(line.adapter, message, request)
            request.leave_slot()
            await self._accept(line, reading, body)
        except Refused as exc:
            return self._refuse(line, exc, message)
        except Unavailable:
            return _said(line, "later")
        return _said(line, "accepted", reading)

    async def _read(self, adapter: Adapter, message: Message, request: Request) -> Reading:
        """Return what was told. Raises ``Refused``, or ``Unavailable`` without a document."""
        try:
            return adapter.read(message)
        except DocumentMissing as missing:
            if not isinstance(adapter, Learner):
                raise
            request.leave_slot()
            content = await self._fetch(missing.url)
            # As of the message's own time: what is learnt then is known when it is read again.
            adapter.learn(missing.url, content, now=message.now)
        try:
            return adapter.read(message)
        except DocumentMissing:
            raise Unavailable("the document of a message") from None

    async def _accept(self, line: ProviderAccount, reading: Reading, body: bytes) -> None:
        """Return when every item is committed or set aside. Raises ``Unavailable``."""
        source = f"{line.provider}:{line.account}"
        told = ShopMessage(
            source=source,
            provider=line.provider,
            channels=line.channels,
            trigger=f"callback:{source}",
            items=[(item.key, item.event) for item in reading.items],
            body=body,
            received_at=self._clock.now(),
        )
        await accept(told, intake=self._intake, new_id=self._new_id)

    def _refuse(self, line: ProviderAccount, exc: Refused, message: Message) -> Response:
        REFUSED_CALLBACKS.labels(line.provider, line.account, exc.reason).inc()
        self._refusals.record(
            line.provider,
            line.account,
            exc,
            headers=message.headers.items(),
            body=message.body,
            at=message.now,
        )
        _log.warning(
            # Repeats are told by the text: with the account in it, each has its own ten seconds.
            f"callback of {line.provider}/{line.account} refused: {exc.reason}",
            extra={
                "provider": line.provider,
                "account": line.account,
                "reason": exc.reason,
                "hint": exc.hint,
            },
        )
        return _said(line, "refused")


def _said(line: ProviderAccount, answer: Answer, reading: Reading | None = None) -> Response:
    said = line.adapter.reply(answer)
    if reading is not None and reading.reply is not None:
        said = reading.reply
    head = "Retry-After: 2\r\n" if answer == "later" and said.status == 503 else ""
    return Response(said.status, said.body, said.content_type, head)
