"""Early rejection: decides on the first bytes of a request, before anything is parsed.

A rejection costs a small part of what an accepted request costs, so a flood of them cannot take
all of the CPU: one look-up by the first line, one decision, and bytes that were rendered before.
"""

import time
from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.domain.features import Feature
from gateway.overload.admission import Admission
from gateway.overload.concurrency import Slot
from gateway.overload.rejections import FULL, SHED, Rejection
from gateway.providers import contract
from gateway.runtime.settings import ProcessRole
from gateway.web import metrics
from gateway.web.response import Response
from gateway.web.response_cache import ResponseCache
from gateway.web.routing import Route
from gateway.web.transport.body_framing import BodyFraming, is_plain
from gateway.web.transport.rejection_responses import RejectionResponses
from gateway.web.transport.route_table import RouteEntry, RouteTable, target_of

_HEAD_END = b"\r\n\r\n"
_MISDIRECTED = metrics.REQUESTS.labels("misdirected", 421)


class RejectedRequest(Struct, frozen=True):
    """A rejected request that is not all of what was read, or the last of its connection.

    ``response``: the bytes to write; ``request_bytes``: length of its head and body, which may be
    more than was read; ``closes``: whether the connection ends with the response.
    """

    response: bytes
    request_bytes: int
    closes: bool


#: What becomes of the request that begins with the bytes read.
#:
#: - ``Slot``: it is accepted and holds this slot;
#: - ``bytes``: it is rejected, and the bytes read are this one request, whole: write the response;
#: - ``RejectedRequest``: it is rejected, and its body, or what follows, needs the connection;
#: - ``None``: the bytes do not tell; the parser reads it and the dispatcher decides.
#:
#: A union, as a tagged result would be one more object per request.
Decision = Slot | RejectedRequest | bytes | None


class EarlyRejection:
    """Decides about requests by their first line and their body's length.

    Invariant: the end of a rejected request is known exactly, or its connection closes.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        role: ProcessRole,
        routes: Sequence[Route],
        retry_responses: Mapping[tuple[str, str], contract.Reply],
        response_cache: ResponseCache,
    ) -> None:
        """``retry_responses``: each provider account's own response for "try again later"."""
        self._admission = admission
        self._response_cache = response_cache
        self._framing = BodyFraming()
        self._role: ProcessRole = role
        self._routes = tuple(routes)
        self.use(self.table(retry_responses))
        self._second = 0
        #: Whether every response is the last of its connection.
        self.is_draining = False
        # Entries without headroom in this batch, each with its rejection; None between batches.
        self._full: dict[RouteEntry, Rejection] | None = None

    def table(self, retry_responses: Mapping[tuple[str, str], contract.Reply]) -> RouteTable:
        """Return a table for other provider accounts, to ``use``; nothing changes."""
        return RouteTable(role=self._role, routes=self._routes, retry_responses=retry_responses)

    def use(self, table: RouteTable) -> None:
        """Decide by another table from the next request on. Not within a batch."""
        self._table = table
        self._by_first_line = table.by_first_line
        self._responses = RejectionResponses(table)

    def begin_batch(self) -> None:
        """Begin a batch of requests that were ready together.

        What has no headroom for one of them has none for those after it: nothing is answered
        within a batch.
        """
        second = int(time.time())
        if second != self._second:
            # Rendered responses have a Date.
            self._second = second
            self._responses.expire()
        self._full = {}

    def end_batch(self) -> None:
        """End the batch: every request is decided about by itself again."""
        self._full = None

    def admit(self, feature: Feature) -> Slot | Rejection:
        """Decide about a request that the parser had to read first."""
        return self._admission.admit(feature)

    def feature_of(self, route: Route | None, path_values: tuple[str, ...]) -> Feature | None:
        """Return the feature of a request that was parsed, as ``RouteTable.feature_of``."""
        return self._table.feature_of(route, path_values)

    def response(self, rejection: Rejection, method: str, path: str) -> Response:
        """Return the response to a request that was parsed before it was rejected."""
        return self._responses.for_parsed(rejection, method, path)

    def decide(self, data: bytes) -> Decision:
        """Decide about the request that begins with ``data``; see ``Decision``."""
        head_end = data.find(_HEAD_END)
        if head_end < 0:
            return None
        line_end = data.find(b"\r\n")
        line = data[:line_end]
        entry = self._by_first_line.get(line)
        is_unknown_line = entry is None
        if entry is None:
            entry = self._table.find(target_of(line))
            if entry is None:
                elsewhere = self._table.find_elsewhere(target_of(line))
                if elsewhere is not None:
                    return self._misdirect(elsewhere, line, data[line_end : head_end + 2])
                entry = self._table.find_other(line)
                if entry is None:
                    return None
        admitted = self._admit(entry, line)
        if not isinstance(admitted, Rejection):
            return admitted
        fields = data[line_end : head_end + 2]
        body_bytes = (
            self._body_bytes(line, fields) if is_unknown_line else self._framing.body_bytes(fields)
        )
        request_bytes = head_end + 4 + (body_bytes or 0)
        closes = body_bytes is None or self.is_draining
        responses = entry.closing_responses if closes else entry.responses
        try:
            response = next(responses[admitted])
        except KeyError:
            response = next(self._responses.render(admitted, entry, closes=closes))
        if request_bytes == len(data) and not closes:
            return response
        return RejectedRequest(response, request_bytes, closes)

    def _admit(self, entry: RouteEntry, line: bytes) -> Slot | Rejection | None:
        """Take a slot or reject; None: the dispatcher decides, for the cache may answer it."""
        full = self._full
        if full and (rejection := full.get(entry)) is not None:
            self._admission.reject_again(rejection)
            return rejection
        admitted = self._admission.admit(entry.feature)
        if isinstance(admitted, Slot):
            return admitted
        if full is None:
            self._responses.expire()
        elif admitted.reason in FULL:
            full[entry] = admitted
        if entry.is_cacheable and admitted.reason in SHED and self._is_cached(line):
            # Only the dispatcher can tell whether this client may see the page.
            self._admission.withdraw(admitted)
            return None
        return admitted

    def _body_bytes(self, line: bytes, fields: bytes) -> int | None:
        return self._framing.body_bytes(fields) if is_plain(line) else None

    def _is_cached(self, line: bytes) -> bool:
        target = line.partition(b" ")[2].partition(b" HTTP/")[0]
        return self._response_cache.may_answer(target.decode("utf-8", "surrogateescape"))

    def _misdirect(self, elsewhere: Response, line: bytes, fields: bytes) -> RejectedRequest:
        """Reject what processes of the other role serve."""
        _MISDIRECTED.inc()
        body_bytes = self._body_bytes(line, fields)
        closes = body_bytes is None or self.is_draining
        response = self._responses.misdirected(elsewhere, closes=closes)
        return RejectedRequest(response, len(line) + len(fields) + 2 + (body_bytes or 0), closes)
