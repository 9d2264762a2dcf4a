"""POST /v1/callbacks/{provider}/{account}: a provider reports an event."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from uuid import UUID

from msgspec import Struct

from gateway.domain.channels import Policies
from gateway.domain.errors import Fault, Rejected, Unavailable
from gateway.intake import told_anew
from gateway.intake.accept import Intake
from gateway.intake.rejected_callbacks import RejectedCallbackRecorder
from gateway.intake.shop_message import ShopMessage, accept
from gateway.providers.contract import Adapter, Answer, DocumentMissing, Learner, Message, Reading
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.runtime.logs import Throttle
from gateway.runtime.reload_plan import ConfiguredAccount
from gateway.web.metrics import REJECTED_CALLBACKS
from gateway.web.outcomes import Outcome
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body
from gateway.web.response import Response

_log = logging.getLogger(__name__)
# A provider with a wrong key repeats for days; the counter has the exact number.
_log.addFilter(Throttle(10.0))


#: Of each answer, for the metrics: what its status says is the provider's convention.
_OUTCOMES: Mapping[Answer, Outcome] = {
    "accepted": "ok",
    "rejected": "invalid",
    "later": "unavailable",
}


class ProviderAccount(Struct, frozen=True):
    """A configured account: its adapter, and the channels whose orders it handles.

    ``policies``: the rules of each channel. With it a callback is finished as it began,
    also where a reload removes the channel meanwhile. ``configured``: what it was made from.
    ``is_test``: it handles test orders only; else live ones only. ``body_bytes_max``: the largest
    message of the provider, where that is more than the limit of all callbacks.
    """

    provider: str
    name: str
    policies: Policies
    adapter: Adapter
    configured: ConfiguredAccount
    is_test: bool = False
    body_bytes_max: int = 0


#: The accounts by provider and name.
Accounts = Mapping[tuple[str, str], ProviderAccount]


class CallbackHandler:
    """Handles callbacks: the same steps for every provider, the provider's format in its adapter.

    The success reply is sent only after the commit (or the synced journal). A callback without
    a valid signature is rejected in the provider's terms, counted, and recorded for operators.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        accounts: Live[Accounts],
        rejected_callbacks: RejectedCallbackRecorder,
        clock: Clock,
        new_id: Callable[[], UUID],
        fetch: Callable[[str], Awaitable[bytes]],
        limits: Live[Limits],
    ) -> None:
        """``fetch``: returns the document at a URL."""
        self._intake = intake
        self._accounts = accounts
        self._rejected_callbacks = rejected_callbacks
        self._clock = clock
        self._new_id = new_id
        self._fetch = fetch
        self._limits = limits

    async def receive(self, request: Request) -> Response:
        """Answer in the provider's own format. Raises ``Answered`` for an unknown account."""
        provider, name = request.path_values
        account = self._accounts.now.get((provider, name))
        if account is None:
            # No protocol prescribes this: whoever configured the address reads it.
            faults = [Fault("account", "is not configured here")]
            detail = "this provider account is not configured: check the address of the callback"
            raise Answered(problem("not-found", detail, faults=faults))
        if request.raw.headers.get("Content-Encoding", "identity") != "identity":
            faults = [Fault("Content-Encoding", "is not identity: signed bodies are sent as is")]
            raise Answered(problem("unsupported-media-type", faults=faults))
        body = await self._body(account, request)
        message = Message(headers=request.raw.headers, body=body, now=self._clock.now())
        try:
            reading = await self._read(account.adapter, message, request)
            request.leave_slot()
            await self._accept(account, reading, body)
        except Rejected as exc:
            return self._reject(account, exc, message)
        except Unavailable:
            return _reply(account, "later")
        return _reply(account, "accepted", reading)

    async def _body(self, account: ProviderAccount, request: Request) -> bytes:
        """Return the body. One that is too large is counted and recorded, without its content."""
        limits = self._limits.now
        bytes_max = max(limits.callback_bytes_max, account.body_bytes_max)
        try:
            return await read_body(request, bytes_max=bytes_max, body_s=limits.body_s)
        except Answered as exc:
            if exc.response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                message = Message(headers=request.raw.headers, body=b"", now=self._clock.now())
                hint = f"the body is larger than {bytes_max} bytes; it was not read"
                self._count(account, Rejected("too_large", hint), message)
            raise

    async def _read(self, adapter: Adapter, message: Message, request: Request) -> Reading:
        """Return what a message reports. Raises ``Rejected``, ``Unavailable`` for a document."""
        try:
            return adapter.read(message)
        except DocumentMissing as missing:
            if not isinstance(adapter, Learner):
                raise
            request.leave_slot()
            content = await self._fetch(missing.url)
            # At the time of the message, so that the next reading finds what is learnt now valid.
            adapter.learn(missing.url, content, now=message.now)
        try:
            return adapter.read(message)
        except DocumentMissing:
            raise Unavailable("the document of a message") from None

    async def _accept(self, account: ProviderAccount, reading: Reading, body: bytes) -> None:
        """Return once every item is committed, journaled or parked. Raises ``Unavailable``."""
        source = f"{account.provider}:{account.name}"
        message = ShopMessage(
            source=source,
            provider=account.provider,
            policies=account.policies,
            trigger=told_anew.CALLBACK + source,
            items=[(item.key, item.event) for item in reading.items],
            body=body,
            received_at=self._clock.now(),
            is_test=account.is_test,
        )
        await accept(message, intake=self._intake, new_id=self._new_id)

    def _reject(self, account: ProviderAccount, exc: Rejected, message: Message) -> Response:
        self._count(account, exc, message)
        return _reply(account, "rejected")

    def _count(self, account: ProviderAccount, exc: Rejected, message: Message) -> None:
        """Count, record and log a rejected callback."""
        REJECTED_CALLBACKS.labels(account.provider, account.name, exc.reason).inc()
        self._rejected_callbacks.record(
            account.provider,
            account.name,
            exc,
            headers=message.headers.items(),
            body=message.body,
            at=message.now,
        )
        _log.warning(
            # Repeats are suppressed by text: with the account in it, by account.
            f"callback of {account.provider}/{account.name} rejected: {exc.reason}",
            extra={
                "provider": account.provider,
                "account": account.name,
                "reason": exc.reason,
                "hint": exc.hint,
            },
        )


def _reply(account: ProviderAccount, answer: Answer, reading: Reading | None = None) -> Response:
    reply = account.adapter.reply(answer)
    if reading is not None and reading.reply is not None:
        reply = reading.reply
    head = "Retry-After: 2\r\n" if answer == "later" and reply.status == 503 else ""
    return Response(reply.status, reply.body, reply.content_type, head, _OUTCOMES[answer])
