"""Decoding of JSON bodies: once where they are right, and again, slowly, where they are not.

What is sent twice in one object counts as sent last (RFC 8259 leaves it open, and to look for it
would cost every request).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from gateway.domain.errors import Fault
from gateway.web import json_faults, json_first_fault, json_syntax
from gateway.web.problems import ERRORS_MAX, Answered, problem

_T = TypeVar("_T")
Beside = Callable[[Any, Sequence[Fault]], list[Fault]]
Mend = Callable[[Any], Any]

#: A larger body gets no second look, so that wrong bodies cost no more than right ones: measured,
#: up to 100 ns per byte. An order of 200 items has some 25 KiB.
EXPLAINED_BYTES_MAX = 64 * 1024
#: What a decoder raises for a body that is not what it should be.
NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(decoder: Callable[[bytes], _T], body: bytes, type_: type[_T]) -> _T:
    """Return decoded JSON. Raises ``Answered`` as ``rejection``; ``decoder`` is of ``type_``."""
    try:
        return decoder(body)
    except NOT_DECODED as exc:
        raise rejection(exc, body, type_) from None


def rejection(
    exc: Exception,
    body: bytes,
    type_: Any,
    *,
    beside: Beside = lambda *_: [],
    mend: Mend = lambda plain: plain,
) -> Answered:
    """Return the answer to a body that a decoder of ``type_`` rejected with one of ``NOT_DECODED``.

    400 with the place where it is not JSON, else 422 with every field that is wrong. ``beside``:
    returns what else is wrong, given the plain objects and the faults of their shape. ``mend``:
    returns the plain objects as the decoder reads them, where it reads several spellings.
    """
    if len(body) > EXPLAINED_BYTES_MAX:
        return _first(exc, body)
    try:
        plain = mend(json_faults.decode_plain(body))
    except msgspec.ValidationError:
        too_long = Fault(json_faults.BODY, "has a number with too many digits")
        return Answered(problem("invalid", faults=[too_long]))
    except RecursionError:
        return _malformed(json_syntax.SyntaxFault("JSON is nested too deeply"))
    except NOT_DECODED as not_json:
        return _malformed(json_syntax.find(body, str(not_json)))
    # One more than is shown, so that the answer says that there are more.
    faults = json_faults.find(plain, type_, limit=ERRORS_MAX + 1)
    if len(faults) <= ERRORS_MAX:
        faults += beside(plain, faults)
    if not faults and isinstance(exc, msgspec.ValidationError):
        # Both read the same type, so this is a fault that only msgspec knows of.
        faults = [json_first_fault.of(exc)]
    return Answered(problem("invalid", faults=faults))


def _first(exc: Exception, body: bytes) -> Answered:
    """Return the answer to a body of which only the first fault is known."""
    if isinstance(exc, msgspec.ValidationError):
        faults = [json_first_fault.of(exc)]
        detail = f"only the first fault of a body over {EXPLAINED_BYTES_MAX} bytes is named"
        return Answered(problem("invalid", detail, faults=faults))
    if isinstance(exc, RecursionError):
        return _malformed(json_syntax.SyntaxFault("JSON is nested too deeply"))
    return _malformed(json_syntax.find(body, str(exc), is_large=True))


def _malformed(fault: json_syntax.SyntaxFault) -> Answered:
    faults = [Fault(json_faults.BODY, fault.reason)]
    context = json_syntax.context(fault)
    return Answered(problem("malformed", f"not JSON: {fault}", faults=faults, context=context))
