"""The gate: decides on the first bytes of a request, and refuses in bytes made beforehand.

Here nothing was parsed yet and nothing of the body is wanted. A refusal costs a small part of what
an accepted request costs, which is what keeps a flood of them from taking all there is.
"""

import itertools
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import formatdate

from msgspec import Struct

from gateway.domain.features import OTHER, Feature
from gateway.overload.admission import Overload, Slot
from gateway.overload.rejections import DARK, FULL, Rejection
from gateway.providers import contract
from gateway.runtime.settings import ProcessRole
from gateway.web import metrics, roles, routing
from gateway.web.problems import problem
from gateway.web.response import Response
from gateway.web.response_cache import ResponseCache
from gateway.web.routing import Route
from gateway.web.transport.body_framing import BodyFraming, is_plain

_HEAD_END = b"\r\n\r\n"
#: A first line that is read in one way only: its method, and its path without what is asked for.
_LINE = re.compile(rb"([A-Z-]+) (/[!->@-~\x80-\xff]*)(?:\?[!-~\x80-\xff]*)? HTTP/1\.[01]")
#: How the templates end whose paths are known by the accounts that are configured.
_OF_ACCOUNT = "/{provider}/{account}"
#: Seconds that are told apart, so that those who were refused together do not come back together.
_JITTER_S = 3


class RejectedRequest(Struct, frozen=True):
    """A request that was refused: the answer, and the bytes of its head and body.

    ``is_last``: the connection ends with the answer.
    """

    answer: bytes
    request_bytes: int
    is_last: bool


class _Way(Struct, eq=False):
    """Where requests go that are decided about alike: a method and a path."""

    feature: Feature
    #: The provider's own words for "later", where it has some.
    later: contract.Reply | None
    #: Whether a refused one may be answered with a page that was given lately.
    is_shelved: bool
    #: What a refusal is answered with: bytes that differ by when to come again.
    answers: dict[Rejection, Iterator[bytes]]
    #: The same where it is the connection's last.
    last_answers: dict[Rejection, Iterator[bytes]]
    #: Whether its answers have no body: who asks by HEAD takes what follows the head for the next.
    is_bare: bool = False


class EarlyRejection:
    """Knows requests by their first line."""

    def __init__(
        self,
        *,
        overload: Overload,
        role: ProcessRole,
        routes: Sequence[Route],
        later: Mapping[tuple[str, str], contract.Reply],
        shelf: ResponseCache,
    ) -> None:
        """``later`` has each provider account's own words for "not now, send it again"."""
        # What processes of the other role serve.
        self._elsewhere: list[tuple[re.Pattern[bytes], Response]] = []
        self._overload = overload
        self._shelf = shelf
        self._framing = BodyFraming()
        # By the whole first line of a request that asks for nothing beside, and by what is before
        # its query, of which there is no end; and those that end with somebody's number.
        self._lines: dict[bytes, _Way] = {}
        self._ways: dict[bytes, _Way] = {}
        self._prefixes: list[tuple[bytes, _Way]] = []
        # What belongs to no feature, by GET and the like, and by HEAD; and what is never refused.
        self._other = _Way(OTHER, None, False, {}, {})
        self._other_bare = _Way(OTHER, None, False, {}, {}, is_bare=True)
        self._exempt = re.compile(b"|".join(_pattern(r) for r in routes if r.feature is None))
        # Where no route is ever refused, nothing is.
        self._has_other = any(route.feature is not None for route in routes)
        self._accounts = frozenset(later)
        for route in routes:
            if route.feature is None:
                continue
            if not roles.serves(role, route):
                self._elsewhere.append((re.compile(_pattern(route)), roles.misdirected(route)))
                continue
            fixed, brace, _ = f"{route.method} {route.template}".encode().partition(b"{")
            if not brace:
                self._know(fixed, route.feature, is_shelved=route.instead is not None)
            elif not route.template.endswith(_OF_ACCOUNT):
                self._prefixes.append((fixed, _Way(route.feature, None, False, {}, {})))
            else:
                # One that is not configured is nobody's, and belongs to no feature.
                for (provider, account), reply in later.items():
                    self._know(fixed + f"{provider}/{account}".encode(), route.feature, reply)
        #: Whether every answer is its connection's last.
        self.is_draining = False
        self._serial = itertools.count()
        # What there is no room for in this turn; None between turns.
        self._full: dict[_Way, Rejection] | None = None
        # In which second the answers were made: the date is in them.
        self._made_at_s = 0
        self._misdirected: dict[tuple[bytes, bool], bytes] = {}

    def _know(
        self,
        way: bytes,
        feature: Feature,
        later: contract.Reply | None = None,
        *,
        is_shelved: bool = False,
    ) -> None:
        known = self._ways[way] = _Way(feature, later, is_shelved, {}, {})
        self._lines[way + b" HTTP/1.1"] = known

    def begin_turn(self) -> None:
        """Look at what is ready in one go: where there is no room, there is none until it ends."""
        self._forget_old()
        self._full = {}

    def end_turn(self) -> None:
        """Ask anew for every request."""
        self._full = None

    def ask(self, feature: Feature) -> Slot | Rejection:
        """Decide about a request whose first bytes did not tell what it is."""
        return self._overload.ask(feature)

    def belongs(self, route: Route | None, values: tuple[str, ...]) -> Feature | None:
        """Return what a request belongs to when something must be refused; None: it never is.

        It has this route, or none, and these values of the variables in its path.
        """
        if route is None:
            return OTHER if self._has_other else None
        if route.feature is None or not route.template.endswith(_OF_ACCOUNT):
            return route.feature
        return route.feature if values in self._accounts else OTHER

    def look(self, data: bytes) -> Slot | RejectedRequest | bytes | None:
        """Decide about the request that begins with ``data``; None: can not be told from them.

        Bytes: ``data`` is one whole request that is refused with these, and its connection stays.
        """
        end = data.find(_HEAD_END)
        if end < 0:
            return None
        line_end = data.find(b"\r\n")
        line = data[:line_end]
        way = self._lines.get(line)
        is_varied = way is None
        if way is None:
            way = self._find(_target(line))
            if way is None:
                turned = self._misdirect(line, data[line_end : end + 2])
                if turned is not None:
                    return turned
                way = self._find_other(line)
                if way is None:
                    return None
        asked = self._decide(way, line)
        if not isinstance(asked, Rejection):
            return asked
        fields = data[line_end : end + 2]
        body_bytes = (
            self._body_bytes(line, fields) if is_varied else self._framing.body_bytes(fields)
        )
        request_bytes = end + 4 + (body_bytes or 0)
        is_last = body_bytes is None or self.is_draining
        answers = way.last_answers if is_last else way.answers
        try:
            answer = next(answers[asked])
        except KeyError:
            answer = next(self._make(asked, way, answers, is_last))
        if request_bytes == len(data) and not is_last:
            return answer
        return RejectedRequest(answer, request_bytes, is_last)

    def _decide(self, way: _Way, line: bytes) -> Slot | Rejection | None:
        """Decide; None: to be parsed, for it may be answered though it is refused."""
        full = self._full
        if full and (refusal := full.get(way)) is not None:
            self._overload.refuse_again(refusal)
            return refusal
        asked = self._overload.ask(way.feature)
        if isinstance(asked, Slot):
            return asked
        if full is None:
            self._forget_old()
        elif asked.reason in FULL:
            full[way] = asked
        if way.is_shelved and asked.reason in DARK and self._is_shelved(line):
            # Decided about again: only the server knows who may see it.
            self._overload.take_back(asked)
            return None
        return asked

    def _find(self, target: bytes) -> _Way | None:
        way = self._ways.get(target)
        if way is None:
            for prefix, found in self._prefixes:
                if target.startswith(prefix):
                    return found
        return way

    def _find_other(self, line: bytes) -> _Way | None:
        """Find the way of what belongs to no feature; None: only the parser can tell, or a probe.

        Not remembered: of such lines there is no end.
        """
        read = _LINE.fullmatch(line) if self._has_other else None
        if read is None:
            return None
        method, path = read.groups()
        if method == b"CONNECT":
            # Has no body, whatever it declares (RFC 9110, 9.3.6).
            return None
        if method != b"HEAD":
            return None if self._exempt.fullmatch(method + b" " + path) else self._other
        # The router takes it for GET: whatever is known as that is for the server to decide about.
        target = b"GET " + path
        is_known = (
            self._exempt.fullmatch(target)
            or self._find(target) is not None
            or any(ways.fullmatch(target) for ways, _ in self._elsewhere)
        )
        return None if is_known else self._other_bare

    def _body_bytes(self, line: bytes, fields: bytes) -> int | None:
        return self._framing.body_bytes(fields) if is_plain(line) else None

    def _is_shelved(self, line: bytes) -> bool:
        target = line.partition(b" ")[2].partition(b" HTTP/")[0]
        return self._shelf.is_worth_asking(target.decode("utf-8", "surrogateescape"))

    def _misdirect(self, line: bytes, fields: bytes) -> RejectedRequest | None:
        """Turn away what processes of the other role serve; None: all else."""
        target = _target(line)
        found = (reply for ways, reply in self._elsewhere if ways.fullmatch(target))
        reply = next(found, None)
        if reply is None:
            return None
        _MISDIRECTED.inc()
        body_bytes = self._body_bytes(line, fields)
        is_last = body_bytes is None or self.is_draining
        self._forget_old()
        key = (reply.body, is_last)
        made = self._misdirected.get(key)
        if made is None:
            made = self._misdirected[key] = _written(reply, "Misdirected Request", is_last)
        return RejectedRequest(made, len(line) + len(fields) + 2 + (body_bytes or 0), is_last)

    def reply(self, refusal: Rejection, method: str, path: str) -> Response:
        """Make the answer to a request that was read before it was refused."""
        line = f"{method} {path}".encode("utf-8", "surrogateescape")
        way = self._ways.get(line)
        after_s = refusal.factor * (1 + next(self._serial) % _JITTER_S)
        return _reply(refusal, way.later if way is not None else None, after_s)

    @staticmethod
    def _make(
        refusal: Rejection, way: _Way, answers: dict[Rejection, Iterator[bytes]], is_last: bool
    ) -> Iterator[bytes]:
        made = answers[refusal] = itertools.cycle(
            [
                _written(
                    _reply(refusal, way.later, refusal.factor * after_s),
                    "Later",
                    is_last,
                    is_bare=way.is_bare,
                )
                for after_s in range(1, _JITTER_S + 1)
            ]
        )
        return made

    def _forget_old(self) -> None:
        """Forget the answers of another second."""
        second = math.floor(time.time())
        if second == self._made_at_s:
            return
        self._made_at_s = second
        self._misdirected.clear()
        others = (self._other, self._other_bare)
        for way in (*self._ways.values(), *(way for _, way in self._prefixes), *others):
            way.answers.clear()
            way.last_answers.clear()


def _reply(refusal: Rejection, later: contract.Reply | None, after_s: int) -> Response:
    head = f"Retry-After: {after_s}\r\n"
    if later is not None:
        return Response(later.status, later.body, later.content_type, head)
    feature = refusal.feature
    context = {"feature": feature.name, "tier": feature.tier, "reason": refusal.reason}
    detail = f"{_REASONS[refusal.reason]}; the load's highest signal is {refusal.signal}"
    return problem("overloaded", detail, context=context, head=head)


_MISDIRECTED = metrics.REQUESTS.labels("misdirected", 421)
_REASONS = {
    "shed": "this feature is dark so that orders and payments get through",
    "slots": "as many requests are in work as can be",
    "inflight": "as many requests wait for their answer as can be answered soon",
    "stall": "the process is held up",
    "operator": "an operator has this feature refused for now",
}


def _pattern(route: Route) -> bytes:
    """Return the regular expression of method and path of a route's requests."""
    return f"{route.method} {routing.pattern(route.template)}".encode()


def _target(line: bytes) -> bytes:
    """Return method and path of a first line, without what is asked for; nothing of no request."""
    target, is_http, _ = line.partition(b" HTTP/")
    return target.partition(b"?")[0] if is_http else b""


def _written(reply: Response, phrase: str, is_last: bool, *, is_bare: bool = False) -> bytes:
    connection = "Connection: close\r\n" if is_last else ""
    # The phrase is for people (RFC 9112, 4); the rest is as in ``replies``.
    head = (
        f"HTTP/1.1 {reply.status} {phrase}\r\nServer: tidegate\r\n"
        f"Date: {formatdate(usegmt=True)}\r\nContent-Type: {reply.content_type}\r\n"
        f"Content-Length: {len(reply.body)}\r\n{reply.head}{connection}\r\n"
    )
    return head.encode("latin-1") + (b"" if is_bare else reply.body)
