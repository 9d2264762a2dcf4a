"""The gate: decides on the first bytes of a request, and refuses in bytes made beforehand.

Here nothing was parsed yet and nothing of the body is wanted. A refusal costs a small part of what
an accepted request costs, which is what keeps a flood of them from taking all there is.
"""

import itertools
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate

from msgspec import Struct

from gateway.domain.features import Feature
from gateway.intake.overload import DARK, Overload, Refusal, Slot
from gateway.providers import contract
from gateway.runtime.settings import ProcessRole
from gateway.web import metrics, roles, routing
from gateway.web.problems import problem
from gateway.web.replies import Reply
from gateway.web.routing import Route
from gateway.web.shelf import Shelf

#: A body up to so long is read and thrown away to keep the connection; a longer one ends it.
_SKIPPED_BYTES_MAX = 64 * 1024
_LENGTH_DIGITS_MAX = 7
_HEADS_MAX = 256
#: A longer head is not remembered, so that all of them have a bound.
_HEAD_BYTES_MAX = 4096
_HEAD_END = b"\r\n\r\n"
#: Every byte but control characters; the tabulator is a blank.
_SEEN = bytes(byte for byte in range(256) if byte > 31 and byte != 127) + b"\t"
#: Seconds that are told apart, so that those who were refused together do not come back together.
_JITTER_S = 3


class Turned(Struct, frozen=True):
    """A request that was refused: the answer, where its head ended, and how long its body is.

    ``is_last``: the connection ends with the answer.
    """

    answer: bytes
    head_bytes: int
    body_bytes: int
    is_last: bool


class Gate:
    """Knows requests by their first line."""

    def __init__(
        self,
        *,
        overload: Overload,
        role: ProcessRole,
        routes: Sequence[Route],
        later: Mapping[tuple[str, str], contract.Reply],
        shelf: Shelf,
    ) -> None:
        """``later`` has each provider account's own words for "not now, send it again"."""
        # What processes of the other role serve.
        self._elsewhere: list[tuple[re.Pattern[bytes], Reply]] = []
        self._overload = overload
        self._shelf = shelf
        self._shelved: set[bytes] = set()
        self._features: dict[bytes, Feature] = {}
        self._prefixes: list[tuple[bytes, Feature]] = []
        self._later: dict[bytes, contract.Reply] = {}
        for route in routes:
            if route.feature is None:
                continue
            if not roles.serves(role, route):
                way = f"{route.method} {routing.pattern(route.template)}".encode()
                self._elsewhere.append((re.compile(way), roles.misdirected(route)))
                continue
            if route.instead is not None:
                self._shelved.add(f"{route.method} {route.template}".encode())
            fixed, brace, _ = f"{route.method} {route.template}".encode().partition(b"{")
            if not brace:
                self._features[fixed] = route.feature
            elif not route.template.endswith("/{provider}/{account}"):
                self._prefixes.append((fixed, route.feature))
            else:
                # One that is not configured is nobody's: it goes on and is told so.
                for (provider, account), reply in later.items():
                    way = fixed + f"{provider}/{account}".encode()
                    self._features[way] = route.feature
                    self._later[way] = reply
        #: Whether every answer is its connection's last.
        self.is_draining = False
        self._serial = itertools.count()
        self._second = 0
        self._bodies: dict[bytes, int | None] = {}
        self._made: dict[tuple[object, ...], bytes] = {}

    def ask(self, feature: Feature) -> Slot | Refusal:
        """Decide about a request whose first bytes did not tell what it is."""
        return self._overload.ask(feature)

    def look(self, data: bytes) -> Slot | Turned | None:
        """Decide about the request that begins with ``data``; None: can not be told from them."""
        end = data.find(_HEAD_END)
        if end < 0:
            return None
        way = data[: data.find(b" HTTP/", 0, end)]
        feature = self._features.get(way)
        is_varied = feature is None
        if feature is None:
            way = way.partition(b"?")[0]
            feature = self._features.get(way)
        if feature is None:
            for prefix, found in self._prefixes:
                if way.startswith(prefix):
                    feature = found
                    break
            else:
                return self._misdirect(way, data, end)
        asked = self._overload.ask(feature)
        if isinstance(asked, Slot):
            return asked
        if way in self._shelved and asked.reason in DARK and self._is_shelved(data):
            # Parsed after all, and decided about again: only the server knows who may see it.
            self._overload.take_back(asked)
            return None
        body_bytes = self._body_bytes(data, end, is_varied=is_varied)
        is_last = body_bytes is None or self.is_draining
        return Turned(self._answer(asked, way, is_last), end + 4, body_bytes or 0, is_last)

    def _is_shelved(self, data: bytes) -> bool:
        target = data[data.find(b" ") + 1 : data.find(b" HTTP/")]
        return self._shelf.is_worth_asking(target.decode("utf-8", "surrogateescape"))

    def _misdirect(self, way: bytes, data: bytes, end: int) -> Turned | None:
        """Turn away what processes of the other role serve; None: all else."""
        found = (reply for ways, reply in self._elsewhere if ways.fullmatch(way))
        reply = next(found, None)
        if reply is None:
            return None
        _MISDIRECTED.inc()
        body_bytes = self._body_bytes(data, end, is_varied=True)
        is_last = body_bytes is None or self.is_draining
        second = self._forget_old()
        key = (reply.body, is_last)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _written(reply, "Misdirected Request", second, is_last)
        return Turned(made, end + 4, body_bytes or 0, is_last)

    def _body_bytes(self, data: bytes, end: int, *, is_varied: bool) -> int | None:
        """Return how long the body is of the request whose head ends there, as ``_declared``.

        What heads said is remembered: a client that is refused sends the same one again.
        ``is_varied``: but for its first line, in which it asks for something else each time.
        """
        begin = 0
        if is_varied:
            begin = data.find(b"\r\n")
            line = data[:begin]
            if not line.endswith(b" HTTP/1.1") or line.translate(None, _SEEN):
                return None
        head = data[begin : end + 2]
        if len(head) > _HEAD_BYTES_MAX:
            return _declared(head.lower())
        try:
            return self._bodies[head]
        except KeyError:
            if len(self._bodies) >= _HEADS_MAX:
                self._bodies.clear()
            body_bytes = self._bodies[head] = _declared(head.lower())
            return body_bytes

    def reply(self, refusal: Refusal, method: str, path: str) -> Reply:
        """Make the answer to a request that was read before it was refused."""
        way = f"{method} {path}".encode("utf-8", "surrogateescape")
        return self._reply(refusal, way, self._retry_after_s(refusal))

    def _retry_after_s(self, refusal: Refusal) -> int:
        return refusal.factor * (1 + next(self._serial) % _JITTER_S)

    def _answer(self, refusal: Refusal, way: bytes, is_last: bool) -> bytes:
        second = self._forget_old()
        retry_after_s = self._retry_after_s(refusal)
        # Only the words of callbacks differ by where they were sent.
        kind = way if way in self._later else refusal.feature.name
        key = (kind, refusal.reason, refusal.signal, retry_after_s, is_last)
        made = self._made.get(key)
        if made is None:
            reply = self._reply(refusal, way, retry_after_s)
            made = self._made[key] = _written(reply, "Later", second, is_last)
        return made

    def _forget_old(self) -> int:
        """Forget the answers of another second, whose date is in them; return the one it is."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._made.clear()
        return second

    def _reply(self, refusal: Refusal, way: bytes, retry_after_s: int) -> Reply:
        head = f"Retry-After: {retry_after_s}\r\n"
        later = self._later.get(way)
        if later is not None:
            return Reply(later.status, later.body, later.content_type, head)
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


def _written(reply: Reply, phrase: str, second: int, is_last: bool) -> bytes:
    connection = "Connection: close\r\n" if is_last else ""
    # The phrase is for people (RFC 9112, 4); the rest is as in ``replies``.
    head = (
        f"HTTP/1.1 {reply.status} {phrase}\r\nServer: tidegate\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\nContent-Type: {reply.content_type}\r\n"
        f"Content-Length: {len(reply.body)}\r\n{reply.head}{connection}\r\n"
    )
    return head.encode("latin-1") + reply.body


def _declared(head: bytes) -> int | None:
    """Return how long the body is that follows this head, in lower case, or these fields of one.

    None where that is not as plain as can be: then the connection must end, or what we skip and
    what a proxy takes for the body could differ (RFC 9112, 11.2).
    """
    lines = head.count(b"\r\n")
    if (
        (not head.endswith(b" http/1.1", 0, head.find(b"\r\n")) and not head.startswith(b"\r\n"))
        # Nothing that another reader could take for the end of a line, or for none.
        or head.translate(None, _SEEN) != b"\r\n" * lines
        or b"\ntransfer-encoding" in head
        or b"\nexpect" in head
        or b"\nupgrade" in head
        or b"\n " in head
        or b"\n\t" in head
    ):
        return None
    at = head.find(b"\nconnection")
    if at >= 0 and (
        not head.startswith(b": keep-alive\r\n", at + 11) or head.find(b"\nconnection", at + 1) >= 0
    ):
        return None
    at = head.find(b"\ncontent-length")
    if at < 0:
        return 0
    digits = head[at + 16 : head.find(b"\r", at)].strip(b" \t")
    is_plain = (
        head[at + 15 : at + 16] == b":"
        and digits.isdigit()
        and len(digits) <= _LENGTH_DIGITS_MAX
        and head.find(b"\ncontent-length", at + 1) < 0
    )
    if not is_plain or int(digits) > _SKIPPED_BYTES_MAX:
        return None
    return int(digits)
