"""The HTTP server: aiohttp's protocol and parser under our own dispatch.

``web.Application`` resolves routes, runs middlewares and builds responses in a general way
that costs a third of a request here; ``web.Server`` gives the protocol alone.
"""

import logging
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import Counter

from gateway.domain.errors import TidegateError, Unavailable
from gateway.web import metrics
from gateway.web.doorman import Doorman
from gateway.web.problems import Answered, plain, problem
from gateway.web.replies import OneWrite, Reply
from gateway.web.requests import Request
from gateway.web.routing import Route, Router

_log = logging.getLogger(__name__)

#: Lines and count of a request's head. Providers' longest signatures stay well below.
_LINE_BYTES_MAX = 8190
_HEADERS_MAX = 64
#: How long the rest of a body that was refused is read and thrown away.
_LINGER_S = 1.0


class Protocol(RequestHandler):
    """aiohttp's protocol, with our shape of error for what never reached a handler."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed, and close."""
        metrics.REQUESTS.labels("unparsed", status).inc()
        self.close()
        reply = plain(status if 400 <= status < 600 else 400)
        return _one_write(Reply(reply.status, reply.body, reply.content_type), request, 1.0)


class Server(web.Server):
    """Accepts connections up to a bound and dispatches their requests."""

    def __init__(
        self,
        *,
        router: Router,
        doorman: Doorman,
        connections_max: int,
        keepalive_s: float,
        write_s: float,
    ) -> None:
        super().__init__(self.answer)
        self._router = router
        self._doorman = doorman
        self._connections_max = connections_max
        self._keepalive_s = keepalive_s
        self._write_s = write_s
        self._counted: dict[tuple[str, int], Counter] = {}
        metrics.CONNECTIONS.set_function(lambda: len(self._connections))

    def __call__(self) -> RequestHandler:
        """Make the protocol of a new connection."""
        return Protocol(
            self,
            loop=self._loop,
            keepalive_timeout=self._keepalive_s,
            lingering_time=_LINGER_S,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
            access_log=None,  # type: ignore[arg-type]  # none is taken, the annotation lags
        )

    def connection_made(self, handler: RequestHandler, transport: object) -> None:
        """Take a connection, or close it at once when there are too many."""
        super().connection_made(handler, transport)  # type: ignore[arg-type]
        if len(self._connections) > self._connections_max:
            handler.force_close()

    async def answer(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever goes wrong becomes a reply."""
        path, _, query = raw.raw_path.partition("?")
        methods, values = self._router.find(path)
        method = "GET" if raw.method == "HEAD" else raw.method
        route = methods.get(method)
        if route is None:
            reply = _no_route(methods)
            self._count("none", reply.status)
        else:
            reply = await self._run(route, Request(raw, values, query))
            self._count(route.name, reply.status)
        return _one_write(reply, raw, self._write_s)

    async def _run(self, route: Route, request: Request) -> Reply:
        try:
            if route.role is not None:
                authorization = request.header("Authorization")
                request.principal = await self._doorman.admit(authorization, route.role)
            return await route.handler(request)
        except Answered as exc:
            return exc.reply
        except Unavailable as exc:
            head = f"Retry-After: {max(1, round(exc.retry_after_s))}\r\n"
            return problem("unavailable", f"{exc.part} can not answer now", head=head)
        except TidegateError:
            # Contention that outlived its retries: nothing was kept, sending it again is right.
            return problem("unavailable", head="Retry-After: 1\r\n")
        except ConnectionError:
            raise
        except Exception as exc:
            # Kind and place are logged; the text may hold what must not be.
            _log.exception("a request failed", extra={"route": route.name})
            return problem("internal", type(exc).__name__)

    def _count(self, route: str, status: int) -> None:
        counter = self._counted.get((route, status))
        if counter is None:
            counter = self._counted[route, status] = metrics.REQUESTS.labels(route, status)
        counter.inc()


def _no_route(methods: dict[str, Route]) -> Reply:
    if not methods:
        return problem("not-found", "see /openapi.json for the paths there are")
    allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
    return problem("method-not-allowed", f"allowed: {allowed}", head=f"Allow: {allowed}\r\n")


def _one_write(reply: Reply, raw: web.BaseRequest, write_s: float) -> web.StreamResponse:
    # aiohttp asks of a response only what OneWrite has.
    response = OneWrite(reply, is_head=raw.method == "HEAD", write_s=write_s)
    return cast("web.StreamResponse", response)
