"""The HTTP server: aiohttp's protocol and parser under our own dispatch.

``web.Application`` resolves routes, runs middlewares and builds responses in a general way
that costs a third of a request here; ``web.Server`` gives the protocol alone.
"""

import asyncio
import itertools
import logging
import math
from typing import cast

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import Counter

from gateway.domain.access import Principal
from gateway.domain.errors import TidegateError, Unavailable
from gateway.overload.admission import Overloaded
from gateway.overload.rate_limit import RateLimits
from gateway.overload.rejections import DARK, Rejection
from gateway.runtime.clock import Clock
from gateway.web import metrics
from gateway.web.authentication import Authenticator
from gateway.web.fast_path.handler import FastPath
from gateway.web.handlers.orders import OrderIntake
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import CLOSE, Response, StreamedResponse, writer_for
from gateway.web.routing import Route, Router
from gateway.web.transport.connection import LINGER_S, HttpConnection
from gateway.web.transport.early_rejection import EarlyRejection

_log = logging.getLogger(__name__)

#: Lines and count of a request's head. Providers' longest signatures stay well below.
_LINE_BYTES_MAX = 8190
_HEADERS_MAX = 64
#: How long a connection that is idle when we drain may still bring a request. A sender that was
#: just answered may have sent its next one already; closing on it would leave it without answer.
_DRAIN_IDLE_S = 0.5
_DRAIN_POLL_S = 0.02
#: By what part longer than others a connection may be idle, at most.
_APART_MAX = 0.25
#: Multiples of it, without their whole part, lie evenly however many there are.
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def _apart(serial: int) -> float:
    """Return by what part longer than others a connection may be idle.

    What a flood opened at one moment would be closed at one moment: 1,400 of them were seen to
    hold up all others for a quarter of a second, ten seconds after the flood.
    """
    return _APART_MAX * (serial * _GOLDEN % 1.0)


class Dispatcher(web.Server):
    """Accepts connections up to a bound and dispatches their requests."""

    def __init__(
        self,
        *,
        router: Router,
        authenticator: Authenticator,
        early_rejection: EarlyRejection,
        quotas: RateLimits,
        clock: Clock,
        connections_max: int,
        keepalive_s: float,
        write_s: float,
        plain_orders: OrderIntake | None = None,
        plain_bytes_max: int = 0,
    ) -> None:
        """``plain_orders``: takes submissions of at most so many bytes the short way, if any."""
        super().__init__(self.answer)
        self._router = router
        self._authenticator = authenticator
        #: Decides about requests on their first bytes.
        self.early_rejection = early_rejection
        self._quotas = quotas
        self._clock = clock
        self._connections_max = connections_max
        self._keepalive_s = keepalive_s
        self._write_s = write_s
        self._serial = itertools.count()
        self._counted: dict[tuple[str, int], Counter] = {}
        self._is_draining = False
        self._fast_path = None
        if plain_orders is not None:
            self._fast_path = FastPath(
                orders=plain_orders,
                authenticator=authenticator,
                accounting=self,
                body_bytes_max=plain_bytes_max,
            )

    def __call__(self) -> HttpConnection:
        """Make the protocol of a new connection."""
        return HttpConnection(
            self,
            early_rejection=self.early_rejection,
            fast_path=self._fast_path,
            write_s=self._write_s,
            loop=self._loop,
            keepalive_timeout=self._keepalive_s * (1.0 + _apart(next(self._serial))),
            lingering_time=LINGER_S,
            # A body is unpacked when it is wanted, and as far as it is: see ``bodies``.
            auto_decompress=False,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
            access_log=None,
        )

    def connection_made(self, handler: RequestHandler, transport: object) -> None:
        """Take a connection, or close it at once when there are too many."""
        # The library's own parameter is narrower than what asyncio hands over.
        super().connection_made(handler, transport)  # type: ignore[arg-type]
        metrics.CONNECTIONS.inc()
        if len(self._connections) > self._connections_max:
            handler.force_close()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection that ended."""
        super().connection_lost(handler, exc)
        metrics.CONNECTIONS.dec()

    async def answer(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever goes wrong becomes a reply."""
        path, _, query = raw.raw_path.partition("?")
        methods, values = self._router.find(path)
        if not methods and not path.startswith("/"):
            methods, values = self._router.find(_origin_form(path))
        method = "GET" if raw.method == "HEAD" else raw.method
        route = methods.get(method)
        request = Request(raw, values, query, cast("HttpConnection", raw.protocol).take_slot())
        reply: Response | StreamedResponse
        try:
            if route is None:
                reply = self._turn_away(request, methods)
                self.count("none", reply.status)
            else:
                reply = await self._run(route, request)
                self.count(route.name, reply.status)
        finally:
            if request.slot is not None and request.slot.is_held:
                request.slot.leave()
        if self._is_draining and CLOSE not in reply.head:
            reply = msgspec.structs.replace(reply, head=reply.head + CLOSE)
        return writer_for(reply, raw, self._write_s)

    async def drain(self) -> None:
        """Answer what was sent and close every connection; bound it with a timeout.

        Each answer says that it is the connection's last. ``pre_shutdown`` and ``shutdown`` of
        aiohttp do not do: they stop reading in the middle of a body, and close connections that
        were just told to stay.
        """
        self._is_draining = self.early_rejection.is_draining = True
        loop = asyncio.get_running_loop()
        idle_until_s = loop.time() + _DRAIN_IDLE_S
        while self._connections:
            await asyncio.sleep(_DRAIN_POLL_S)
            if loop.time() < idle_until_s:
                continue
            for handler in list(self._connections):
                if cast("HttpConnection", handler).is_idle():
                    handler.force_close()

    async def _run(self, route: Route, request: Request) -> Response | StreamedResponse:
        try:
            self._enter(request, route)
            if route.role is not None:
                authorization = request.header("Authorization")
                request.principal = self._authenticator.recall(authorization, route.role)
                if request.principal is None:
                    # The key is looked up meanwhile, and others may use the CPU.
                    request.leave_slot()
                    request.principal = await self._authenticator.admit(authorization, route.role)
                    request.enter_slot()
                self.count_in(request.principal)
            return await route.handler(request)
        except Overloaded as exc:
            return await self._instead(route, request, exc.refusal)
        except ConnectionError:
            raise
        except Exception as exc:
            return self.explained(exc, route.name)

    def explained(self, exc: BaseException, route: str) -> Response:
        """Make the reply to a request that ended with an error; what nobody meant is logged."""
        if isinstance(exc, Answered):
            return exc.reply
        if isinstance(exc, Unavailable):
            head = f"Retry-After: {max(1, round(exc.retry_after_s))}\r\n"
            return problem("unavailable", f"{exc.part} can not answer now", head=head)
        if isinstance(exc, TidegateError):
            # Contention that outlived its retries: nothing was kept, sending it again is right.
            return problem("unavailable", head="Retry-After: 1\r\n")
        # Kind and place are logged; the text may hold what must not be.
        _log.error("a request failed", exc_info=exc, extra={"route": route})
        return problem("internal")

    async def _instead(self, route: Route, request: Request, refusal: Rejection) -> Response:
        """Answer a request that is refused: from what is at hand, for who may see it, or not."""
        reply = None
        if route.instead is not None and route.role is not None and refusal.reason in DARK:
            try:
                authorization = request.header("Authorization")
                request.principal = await self._authenticator.admit(authorization, route.role)
                self.count_in(request.principal)
                reply = route.instead(request)
                if reply is not None:
                    metrics.SHELVED.inc()
            except Answered as exc:
                return exc.reply
            except Unavailable:
                pass  # nobody can say whose key it is: a refusal it stays
        return reply or self.early_rejection.response(refusal, request.raw.method, request.raw.path)

    def count_in(self, principal: Principal) -> None:
        """Count a request in its key's quota. Raises ``Answered`` with 429."""
        wait_s = self._quotas.wait_s(principal.key_id, self._clock.monotonic_s())
        if wait_s:
            metrics.QUOTA_REFUSED.inc()
            head = f"Retry-After: {math.ceil(wait_s)}\r\n"
            raise Answered(problem("quota-exceeded", head=head))

    def _turn_away(self, request: Request, methods: dict[str, Route]) -> Response:
        """Say what is wrong with a request that has no route, if there is room for that."""
        try:
            self._enter(request, None)
        except Overloaded as exc:
            return self.early_rejection.response(exc.refusal, request.raw.method, request.raw.path)
        return _no_route(methods)

    def _enter(self, request: Request, route: Route | None) -> None:
        """See that a request has a slot, unless it belongs to what needs none.

        Decides late, and raises ``Overloaded``, where its first bytes did not tell what it is, or
        came before the one before was answered.
        """
        if request.slot is None:
            feature = self.early_rejection.feature_of(route, request.path_values)
            if feature is None:
                return
            asked = self.early_rejection.ask(feature)
            if isinstance(asked, Rejection):
                raise Overloaded(asked)
            request.slot = asked
        if request.slot.feature.tier > 1:
            request.slot.begin()

    def count(self, route: str, status: int) -> None:
        """Count a request by how it was answered."""
        counter = self._counted.get((route, status))
        if counter is None:
            counter = self._counted[route, status] = metrics.REQUESTS.labels(route, status)
        counter.inc()


def _origin_form(target: str) -> str:
    """Return the path of a target that names its host too (RFC 9112, 3.2.2)."""
    scheme, _, rest = target.partition("://")
    return f"/{rest.partition('/')[2]}" if scheme.lower() in ("http", "https") else target


def _no_route(methods: dict[str, Route]) -> Response:
    if not methods:
        return problem("not-found", "see /openapi.json for the paths there are")
    allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
    return problem("method-not-allowed", f"allowed: {allowed}", head=f"Allow: {allowed}\r\n")
