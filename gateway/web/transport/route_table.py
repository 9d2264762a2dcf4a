"""What is known of a request by its first line: the entry of the route that it is for.

Built once from the router's routes. What belongs to no route (other paths, other methods) shares
two entries; what is never rejected has none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from gateway.domain.features import OTHER, Feature
from gateway.overload.rejections import Rejection
from gateway.providers import contract
from gateway.runtime.settings import ProcessRole
from gateway.web import roles, routing
from gateway.web.response import Response
from gateway.web.routing import Route

#: A first line that reads in one way only: its method, and its path without the query.
_FIRST_LINE = re.compile(
    rb"([A-Z-]+) (/[!->@-~\x80-\xff]*)(?:\?[!-~\x80-\xff]*)? HTTP/1\.[01]",
)
#: How the templates end whose paths are known by the provider accounts that are configured.
_ACCOUNT_SUFFIX = "/{provider}/{account}"


class RouteEntry(Struct, eq=False):
    """A method and path, or a group of them, whose requests are decided alike."""

    feature: Feature
    #: The provider's own response for "try again later", where it documents one.
    retry_response: contract.Reply | None = None
    #: Whether the response cache may answer while the feature is shed.
    is_cacheable: bool = False
    #: Whether responses have no body: a client that sent HEAD reads the next response after a head.
    is_head: bool = False
    #: Rendered rejections of the current second, which differ by Retry-After.
    responses: dict[Rejection, Iterator[bytes]] = {}
    #: The same with ``Connection: close``.
    closing_responses: dict[Rejection, Iterator[bytes]] = {}


class RouteTable:
    """Finds the entry of a request by its first line. Its size is fixed when it is built."""

    def __init__(
        self,
        *,
        role: ProcessRole,
        routes: Sequence[Route],
        retry_responses: Mapping[tuple[str, str], contract.Reply],
    ) -> None:
        """``retry_responses``: by provider and account, of every configured account."""
        #: By the whole first line of a request without a query: one look-up for most requests.
        self.by_first_line: dict[bytes, RouteEntry] = {}
        #: By method and path, for requests with a query.
        self.by_target: dict[bytes, RouteEntry] = {}
        # Paths that end with an id, of which there is no end.
        self._by_prefix: list[tuple[bytes, RouteEntry]] = []
        # What processes of the other role serve, and the response that says so.
        self._elsewhere: list[tuple[re.Pattern[bytes], Response]] = []
        self._other = RouteEntry(OTHER)
        self._other_head = RouteEntry(OTHER, is_head=True)
        self._exempt = re.compile(b"|".join(_pattern(r) for r in routes if r.feature is None))
        # Where no route is ever rejected, nothing is: the operators' own listener.
        self._has_other = any(route.feature is not None for route in routes)
        self._accounts = frozenset(retry_responses)
        for route in routes:
            if route.feature is None:
                continue
            if not roles.serves(role, route):
                self._elsewhere.append((re.compile(_pattern(route)), roles.misdirected(route)))
                continue
            fixed, brace, _ = f"{route.method} {route.template}".encode().partition(b"{")
            if not brace:
                self._add(fixed, RouteEntry(route.feature, None, route.cached is not None))
            elif not route.template.endswith(_ACCOUNT_SUFFIX):
                self._by_prefix.append((fixed, RouteEntry(route.feature)))
            else:
                # An account that is not configured has no entry: such paths are of OTHER.
                for (provider, account), response in retry_responses.items():
                    target = fixed + f"{provider}/{account}".encode()
                    self._add(target, RouteEntry(route.feature, response))

    def _add(self, target: bytes, entry: RouteEntry) -> None:
        self.by_target[target] = entry
        self.by_first_line[target + b" HTTP/1.1"] = entry

    def entries(self) -> Iterator[RouteEntry]:
        """Iterate over all entries."""
        yield from self.by_target.values()
        for _, entry in self._by_prefix:
            yield entry
        yield self._other
        yield self._other_head

    def find(self, target: bytes) -> RouteEntry | None:
        """Return the entry of a route served here by method and path; None: there is none."""
        entry = self.by_target.get(target)
        if entry is None:
            for prefix, found in self._by_prefix:
                if target.startswith(prefix):
                    return found
        return entry

    def find_elsewhere(self, target: bytes) -> Response | None:
        """Return the response to a method and path that processes of the other role serve."""
        for pattern, response in self._elsewhere:
            if pattern.fullmatch(target):
                return response
        return None

    def find_other(self, first_line: bytes) -> RouteEntry | None:
        """Return the entry of a request that is for no route.

        None: only the parser can tell what it is, or it is never rejected (a health probe). What
        was found is not cached, for there is no end of such lines.
        """
        match = _FIRST_LINE.fullmatch(first_line) if self._has_other else None
        if match is None:
            return None
        method, path = match.groups()
        if method == b"CONNECT":
            # Has no body, whatever it declares (RFC 9110, 9.3.6).
            return None
        if method != b"HEAD":
            return None if self._exempt.fullmatch(method + b" " + path) else self._other
        # The router handles HEAD as GET: the dispatcher decides about those of a route.
        target = b"GET " + path
        is_known = (
            self._exempt.fullmatch(target)
            or self.find(target) is not None
            or self.find_elsewhere(target) is not None
        )
        return None if is_known else self._other_head

    def feature_of(self, route: Route | None, path_values: tuple[str, ...]) -> Feature | None:
        """Return the feature of a request that was parsed; None: it is never rejected for load.

        ``route``: None where there is none; ``path_values``: of the variables in its template.
        """
        if route is None:
            return OTHER if self._has_other else None
        if route.feature is None or not route.template.endswith(_ACCOUNT_SUFFIX):
            return route.feature
        return route.feature if path_values in self._accounts else OTHER


def target_of(first_line: bytes) -> bytes:
    """Return method and path, without the query; b"" where it is not the first line of HTTP."""
    target, is_http, _ = first_line.partition(b" HTTP/")
    return target.partition(b"?")[0] if is_http else b""


def _pattern(route: Route) -> bytes:
    """Return the regular expression of the method and path of a route's requests."""
    return f"{route.method} {routing.pattern(route.template)}".encode()
