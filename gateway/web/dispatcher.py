"""The HTTP server: aiohttp's protocol and parser with a dispatcher of our own.

``web.Application`` resolves routes, runs middlewares and builds responses in a general way
that costs a third of a request here; ``web.Server`` is the protocol alone.
"""

import asyncio
import itertools
import logging
import math
import re
from collections.abc import Sequence
from typing import cast

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.domain.errors import Fault, TidegateError, Unavailable
from gateway.overload.concurrency import Overloaded
from gateway.overload.rejections import SHED, Rejection
from gateway.runtime import request_ids
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.runtime.request_ids import RequestIds
from gateway.stores.postgres.errors import BadRow
from gateway.web import metrics, outcomes, request_metrics, routing
from gateway.web.authentication import Authenticator
from gateway.web.fast_path.handler import FastPath
from gateway.web.handlers.orders import OrderHandler
from gateway.web.outcomes import Outcome
from gateway.web.problems import Answered, named, problem
from gateway.web.request import Request
from gateway.web.request_metrics import RequestTally
from gateway.web.response import CLOSE, Response, StreamedResponse, writer_for
from gateway.web.routing import Route
from gateway.web.transport.connection import LINGER_S, HttpConnection
from gateway.web.transport.early_rejection import EarlyRejection

_log = logging.getLogger(__name__)

_REQUEST_ID = "X-Request-Id"
#: Limits of a request's head. The longest signatures of providers stay well below.
_LINE_BYTES_MAX = 8190
_HEADERS_MAX = 64
_SERVERS_ONLY = (
    "this API is called by servers only, for its keys are secret: a page in a browser asks your "
    "own server, and no CORS header is sent"
)
#: How long an idle connection may still bring a request while the server drains. A client that was
#: just answered may have sent its next one already; closing would leave that without an answer.
_DRAIN_IDLE_S = 0.5
_DRAIN_POLL_S = 0.02
#: Largest share by which the keep-alive time of a connection is extended.
_SPREAD_MAX = 0.25
#: The fractional parts of its multiples are spread evenly, however many there are.
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def _spread(serial: int) -> float:
    """Return the share by which the keep-alive time of a connection is extended.

    Connections that a flood opened at one moment would all be closed at one moment: 1,400 of them
    were measured to delay all others by a quarter of a second, ten seconds after the flood.
    """
    return _SPREAD_MAX * (serial * _GOLDEN % 1.0)


class Router:
    """Finds the routes of a path: exact paths by one look-up, others by pattern."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            if "{" not in route.template:
                self._exact.setdefault(route.template, {})[route.method] = route
                continue
            compiled = re.compile(routing.pattern(route.template))
            _, methods = self._patterns.setdefault(route.template, (compiled, {}))
            methods[route.method] = route

    def find(self, path: str) -> tuple[dict[str, Route], tuple[str, ...]]:
        """Return the routes of a path by method, and the values of its variables."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods, ()
        for compiled, methods in self._patterns.values():
            if match := compiled.fullmatch(path):
                return methods, match.groups()
        return {}, ()


class Dispatcher(web.Server):
    """Accepts connections, as many as the limits say, and dispatches their requests."""

    def __init__(
        self,
        *,
        router: Router,
        authenticator: Authenticator,
        early_rejection: EarlyRejection,
        clock: Clock,
        limits: Live[Limits],
        fast_path_orders: OrderHandler | None = None,
    ) -> None:
        """``fast_path_orders``: handles the orders of the fast path; None: there is none."""
        super().__init__(self.answer)
        self._router = router
        self._authenticator = authenticator
        #: Decides about requests on their first bytes.
        self.early_rejection = early_rejection
        self._clock = clock
        self._limits = limits
        self._serial = itertools.count()
        self._now_s = clock.monotonic_s
        self._new_request_id = RequestIds()
        self._tallies: dict[tuple[str, int, Outcome | None], RequestTally] = {}
        self._is_draining = False
        self._fast_path = None
        if fast_path_orders is not None:
            self._fast_path = FastPath(
                orders=fast_path_orders,
                authenticator=authenticator,
                accounting=self,
                new_request_id=self._new_request_id,
                limits=limits,
            )

    def __call__(self) -> HttpConnection:
        """Make the protocol of a new connection."""
        limits = self._limits.now
        return HttpConnection(
            self,
            early_rejection=self.early_rejection,
            fast_path=self._fast_path,
            new_request_id=self._new_request_id,
            # As long as a body may take to arrive, its answer may take to leave.
            write_s=limits.body_s,
            loop=self._loop,
            keepalive_timeout=limits.keepalive_s * (1.0 + _spread(next(self._serial))),
            lingering_time=LINGER_S,
            # A body is decompressed when it is read, up to its limit: see ``request.py``.
            auto_decompress=False,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
            access_log=None,
        )

    def connection_made(self, handler: RequestHandler, transport: object) -> None:
        """Register a connection; close it at once when there are too many."""
        # The library's parameter type is narrower than what asyncio passes.
        super().connection_made(handler, transport)  # type: ignore[arg-type]
        metrics.CONNECTIONS.inc()
        if len(self._connections) > self._limits.now.connections_max:
            handler.force_close()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a closed connection."""
        super().connection_lost(handler, exc)
        metrics.CONNECTIONS.dec()

    async def answer(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Return the response to one request; every error becomes one."""
        path, _, query = raw.raw_path.partition("?")
        methods, values = self._router.find(path)
        if not methods and not path.startswith("/"):
            methods, values = self._router.find(_origin_form(path))
        method = "GET" if raw.method == "HEAD" else raw.method
        route = methods.get(method)
        request_id = self._request_id(raw)
        # For the log. The task is this connection's own, and its next request sets it anew.
        request_ids.current.set(request_id)
        request = Request(raw, values, query, cast("HttpConnection", raw.protocol).take_slot())
        began_s = self._now_s() if request.slot is None else request.slot.given_s
        response: Response | StreamedResponse
        try:
            if route is None:
                response = self._without_route(request, methods)
                self.count("none", response, began_s)
            else:
                response = await self._run(route, request)
                self.count(route.name, response, began_s)
        finally:
            if request.slot is not None and request.slot.is_held:
                request.slot.leave()
        if self._is_draining and CLOSE not in response.head:
            response = msgspec.structs.replace(response, head=response.head + CLOSE)
        if isinstance(response, Response):
            response = named(response, request_id)
        return writer_for(response, raw, self._limits.now.body_s, request_id)

    async def drain(self) -> None:
        """Answer every request that was sent, then close its connection. Bound it with a timeout.

        Each answer says that it is the connection's last. ``pre_shutdown`` and ``shutdown`` of
        aiohttp are not enough: they stop reading in the middle of a body, and close connections
        whose last answer said keep-alive.
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

    def _request_id(self, raw: web.BaseRequest) -> str:
        """Return the sender's own id where it is plain and sent once; else a new one."""
        sent = raw.headers.getall(_REQUEST_ID, ())
        if len(sent) == 1 and request_ids.is_plain(sent[0]):
            return sent[0]
        return self._new_request_id()

    async def _run(self, route: Route, request: Request) -> Response | StreamedResponse:
        try:
            self._enter(request, route)
            if route.role is not None:
                authorization = request.header("Authorization")
                request.principal = self._authenticator.cached(authorization, route.role)
                if request.principal is None:
                    # The key is looked up meanwhile, and others may use the CPU.
                    request.leave_slot()
                    request.principal = await self._authenticator.authenticate(
                        authorization, route.role
                    )
                    request.enter_slot()
                self._authenticator.apply_rate_limit(request.principal)
            return await route.handler(request)
        except Overloaded as exc:
            return await self._shed(route, request, exc.rejection)
        except ConnectionError:
            raise
        except Exception as exc:
            return self.error_response(exc, route.name)

    def error_response(self, exc: BaseException, route: str) -> Response:
        """Return the response to a request that ended with an error; logs unexpected ones."""
        if isinstance(exc, Answered):
            return exc.response
        if isinstance(exc, Unavailable):
            head = f"Retry-After: {max(1, round(exc.retry_after_s))}\r\n"
            return problem("unavailable", f"{exc.part} is unavailable", head=head)
        if isinstance(exc, BadRow):
            fault = Fault("body", "has a text or a number that cannot be stored, as U+0000")
            return problem("invalid", faults=[fault])
        if isinstance(exc, TidegateError):
            # Contention that outlived its retries: nothing was stored, so the client may retry.
            detail = "other requests change the same rows; nothing was stored"
            return problem("unavailable", detail, head="Retry-After: 1\r\n")
        # Type and traceback are logged, not the text: it may quote private data.
        _log.error("a request failed", exc_info=exc, extra={"route": route})
        return problem("internal", "an unexpected error, which the gateway's log has")

    async def _shed(self, route: Route, request: Request, rejection: Rejection) -> Response:
        """Answer a request that is rejected: from the response cache where possible."""
        response = None
        if route.cached is not None and route.role is not None and rejection.reason in SHED:
            try:
                authorization = request.header("Authorization")
                request.principal = await self._authenticator.authenticate(
                    authorization, route.role
                )
                self._authenticator.apply_rate_limit(request.principal)
                response = route.cached(request)
                if response is not None:
                    metrics.CACHED_ANSWERS.inc()
            except Answered as exc:
                return exc.response
            except Unavailable:
                pass  # the key cannot be authenticated: the rejection stays
        return response or self.early_rejection.response(
            rejection, request.raw.method, request.raw.path
        )

    def _without_route(self, request: Request, methods: dict[str, Route]) -> Response:
        """Answer a request that has no route: 404 or 405, or its rejection under load."""
        try:
            self._enter(request, None)
        except Overloaded as exc:
            return self.early_rejection.response(
                exc.rejection, request.raw.method, request.raw.path
            )
        return _no_route(request.raw.method, methods)

    def _enter(self, request: Request, route: Route | None) -> None:
        """Give a request a slot, unless its route needs none. Raises ``Overloaded``.

        Requests without a slot were not decided on their first bytes: those did not show the
        route, or arrived before the previous request was answered.
        """
        if request.slot is None:
            feature = self.early_rejection.feature_of(route, request.path_values)
            if feature is None:
                return
            decision = self.early_rejection.admit(feature)
            if isinstance(decision, Rejection):
                raise Overloaded(decision)
            request.slot = decision
        if request.slot.feature.tier > 1:
            request.slot.begin()

    def count(self, route: str, response: Response | StreamedResponse, began_s: float) -> None:
        """Count a request and its seconds; ``began_s``: when it was decided about."""
        status = response.status
        key = (route, status, response.outcome)
        tally = self._tallies.get(key)
        if tally is None:
            outcome = response.outcome or outcomes.outcome(route, status)
            tally = self._tallies[key] = request_metrics.tally(route, status, outcome)
        tally.add(self._now_s() - began_s)


def _origin_form(target: str) -> str:
    """Return the path of a target in absolute form (RFC 9112, 3.2.2)."""
    scheme, _, rest = target.partition("://")
    return f"/{rest.partition('/')[2]}" if scheme.lower() in ("http", "https") else target


def _no_route(method: str, methods: dict[str, Route]) -> Response:
    if not methods:
        return problem("not-found", "see /openapi.json for the available paths")
    allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
    detail = f"allowed methods: {allowed}"
    if method == "OPTIONS":
        # A browser's preflight: its developer must learn that no header of ours is missing.
        detail += f"; {_SERVERS_ONLY}"
    return problem("method-not-allowed", detail, head=f"Allow: {allowed}\r\n")
