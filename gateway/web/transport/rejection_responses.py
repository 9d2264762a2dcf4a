"""Responses of rejections: rendered once a second, then sent as they are.

A flood repeats the same few rejections tens of thousands of times a second. They differ by
Retry-After only, so that clients that were rejected together do not come back together.
"""

import itertools
import math
import time
from collections.abc import Iterator

import msgspec

from gateway.overload.rejections import Rejection
from gateway.providers import contract
from gateway.web.problems import problem
from gateway.web.response import CLOSE, Response, shared_head_bytes
from gateway.web.transport.route_table import RouteEntry, RouteTable

#: Retry-After is 1 to this many times the rejection's factor, in seconds.
_JITTER_STEPS = 3
_REASONS = {
    "shed": "this feature is shed so that orders and payments are accepted",
    "slots": "the limit of concurrent requests is reached",
    "inflight": "as many requests are in flight as can be answered soon",
    "stall": "the process is stalled",
    "operator": "an operator has shed this feature",
}


class RejectionResponses:
    """Renders rejections, and keeps the bytes with their route entries for a second.

    Invariant: a rendered response is dropped by the first ``expire`` of another second, so that its
    Date is at most one batch old.
    """

    def __init__(self, table: RouteTable) -> None:
        self._table = table
        self._serial = itertools.count()
        self._rendered_in_second = 0
        self._misdirected: dict[tuple[bytes, bool], bytes] = {}

    def expire(self) -> None:
        """Drop what was rendered in another second: it has another Date."""
        second = math.floor(time.time())
        if second == self._rendered_in_second:
            return
        self._rendered_in_second = second
        self._misdirected.clear()
        for entry in self._table.entries():
            entry.responses.clear()
            entry.closing_responses.clear()

    @staticmethod
    def render(rejection: Rejection, entry: RouteEntry, *, closes: bool) -> Iterator[bytes]:
        """Render a rejection and store it with its entry.

        Returns the endless iterator over its responses, one per Retry-After, that was stored.
        ``closes``: whether the connection ends with the response.
        """
        rendered = [
            _rendered(
                _response(rejection, entry.retry_response, rejection.factor * step),
                closes=closes,
                is_head=entry.is_head,
            )
            for step in range(1, _JITTER_STEPS + 1)
        ]
        responses = entry.closing_responses if closes else entry.responses
        found = responses[rejection] = itertools.cycle(rendered)
        return found

    def misdirected(self, response: Response, *, closes: bool) -> bytes:
        """Return the bytes of a 421 response, rendered once per second."""
        self.expire()
        key = (response.body, closes)
        rendered = self._misdirected.get(key)
        if rendered is None:
            rendered = self._misdirected[key] = _rendered(response, closes=closes)
        return rendered

    def for_parsed(self, rejection: Rejection, method: str, path: str) -> Response:
        """Return the response to a request that was parsed before it was rejected."""
        target = f"{method} {path}".encode("utf-8", "surrogateescape")
        entry = self._table.by_target.get(target)
        after_s = rejection.factor * (1 + next(self._serial) % _JITTER_STEPS)
        return _response(rejection, entry.retry_response if entry is not None else None, after_s)


def _response(
    rejection: Rejection, retry_response: contract.Reply | None, after_s: int
) -> Response:
    head = f"Retry-After: {after_s}\r\n"
    if retry_response is not None:
        return Response(
            retry_response.status, retry_response.body, retry_response.content_type, head, "shed"
        )
    feature = rejection.feature
    context = {"feature": feature.name, "tier": feature.tier, "reason": rejection.reason}
    detail = f"{_REASONS[rejection.reason]}; the highest load signal is {rejection.signal}"
    response = problem("overloaded", detail, context=context, head=head)
    return msgspec.structs.replace(response, outcome="shed")


def _rendered(response: Response, *, closes: bool, is_head: bool = False) -> bytes:
    head = shared_head_bytes(response, CLOSE if closes else "")
    return head if is_head else head + response.body
