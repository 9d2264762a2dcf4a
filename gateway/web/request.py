"""A request as handlers see it, and the faults of JSON bodies."""

import re
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.overload.slot import Slot
from gateway.web.problems import Answered, problem

_AT = re.compile(r"^(?P<reason>.*) - at `\$?\.?(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)


class Request:
    """One request: aiohttp's own, the variables of its path, its principal, and its slot."""

    __slots__ = ("path_values", "principal", "query_text", "raw", "slot")

    def __init__(
        self,
        raw: web.BaseRequest,
        path_values: tuple[str, ...],
        query_text: str,
        slot: Slot | None,
    ) -> None:
        self.raw = raw
        self.path_values = path_values
        self.query_text = query_text
        self.slot = slot
        self.principal: Principal | None = None

    def leave_slot(self) -> None:
        """Release the slot: what follows waits for others and needs no CPU. May be repeated."""
        if self.slot is not None:
            self.slot.leave()

    def enter_slot(self) -> None:
        """Take a slot again, if it was released. Raises ``Overloaded``."""
        if self.slot is not None:
            self.slot.enter()

    def header(self, name: str) -> str | None:
        """Return a header; None when not sent. Raises ``Answered`` with 400 when sent twice."""
        values = self.raw.headers.getall(name, ())
        if len(values) > 1:
            raise Answered(problem("malformed", f"the header {name} was sent {len(values)} times"))
        return values[0] if values else None

    def query(self, known: frozenset[str]) -> dict[str, str]:
        """Return the query's parameters. Raises ``Answered`` for unknown or repeated ones."""
        try:
            pairs = parse_qsl(
                self.query_text, keep_blank_values=True, errors="strict", max_num_fields=30
            )
        except ValueError:
            raise Answered(problem("malformed", "the query is too long or not UTF-8")) from None
        values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known or name in values:
                reason = "is repeated" if name in values else "is not a parameter of this path"
                raise Answered(problem("invalid", faults=[Fault(printable(name), reason)]))
            values[name] = value
        return values


def printable(name: str) -> str:
    """Return a name from a client as short, printable ASCII for an error message."""
    return name[:64].encode("ascii", "backslashreplace").decode()


def fault(exc: msgspec.ValidationError) -> Fault:
    """Return the field and reason of a decoder's error: ``items[0].quantity``, ``is required``."""
    text = str(exc)
    path = ""
    if match := _AT.match(text):
        text, path = match["reason"], match["path"]
    for pattern, reason in ((_UNKNOWN, "is not a field of this object"), (_MISSING, "is required")):
        if match := pattern.match(text):
            return Fault(".".join(filter(None, (path, printable(match["name"])))), reason)
    return Fault(path.replace("[...]", "[]") or "body", text[:1].lower() + text[1:200])
