"""Every fault of a JSON body at once, in plain words: the second look at what msgspec rejected.

msgspec stops at the first fault and names its own types. A client's developer needs all of them,
in the terms of JSON. So a rejected body, and only that, is decoded once more into plain objects,
which are compared with the same type that msgspec read it for. The cost has a bound: it ends at
``limit`` faults, and of a list that is too long only the permitted number of elements is read.
"""

import difflib
import functools
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import inspect

from gateway.domain import money_text
from gateway.domain.errors import Fault

#: The whole body, where it is not an object at all.
BODY = "body"
#: Of a longer text the rest is no time: no fraction of a second has so many digits.
_TIME_CHARS_MAX = 4096
#: A misspelt name that is longer resembles no field.
_NAME_CHARS_MAX = 40
_RESEMBLANCE_MIN = 0.7

#: Decodes JSON into plain objects; a number with a point or an exponent keeps every digit.
decode_plain = msgspec.json.Decoder(float_hook=Decimal).decode


class _Enough(Exception):
    """The limit of faults is reached."""


class _Faults(list[Fault]):
    """The faults that were found, at most ``limit``."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def add(self, path: str, reason: str) -> None:
        """Append a fault. Raises ``_Enough`` with the last that is permitted."""
        self.append(Fault(path or BODY, reason))
        if len(self) >= self._limit:
            raise _Enough


#: Adds the faults of a value at a path.
_Check = Callable[[Any, str, _Faults], None]


def find(plain: Any, type_: Any, *, limit: int) -> list[Fault]:
    """Return the faults of a body that is to be of ``type_``, at most ``limit``; none: it is.

    ``plain``: as ``decode_plain`` returns it; ``type_``: a Struct of what ``_compile`` knows.
    """
    faults = _Faults(limit)
    with suppress(_Enough):
        _checks(type_)(plain, "", faults)
    return faults


@functools.cache
def _checks(type_: Any) -> _Check:
    return _compile(inspect.type_info(type_))


def printable(name: str) -> str:
    """Return a name from a client as short, printable ASCII for an error message."""
    return name[:64].encode("ascii", "backslashreplace").decode() or '""'


def meant(name: str, known: Sequence[str]) -> str:
    """Return ``; did you mean …?`` with the known name that a wrong one resembles, or ``""``."""
    if len(name) > _NAME_CHARS_MAX:
        return ""
    bare = _bare(name)
    found = [each for each in known if _bare(each) == bare]
    found = found or difflib.get_close_matches(name, known, n=1, cutoff=_RESEMBLANCE_MIN)
    return f"; did you mean {found[0]}?" if found else ""


def _bare(name: str) -> str:
    # orderNo, order-no and ORDER_NO are all meant for order_no.
    return name.replace("_", "").replace("-", "").lower()


def _compile(type_: inspect.Type) -> _Check:
    """Return the check of a type. Raises ``TypeError`` for one that no body has so far."""
    for known, make in _CHECKS.items():
        if isinstance(type_, known):
            return make(type_)
    raise TypeError(f"no check for {type_}")


def _described(type_: inspect.Metadata) -> _Check:
    plain = (type_.extra or {}).get("plain", "")
    if isinstance(type_.type, inspect.StrType):
        return _text(type_.type, plain)
    return _compile(type_.type)


def _object(type_: inspect.StructType) -> _Check:
    fields = [(f.encode_name, f.required, _compile(f.type)) for f in type_.fields]
    known = [name for name, _, _ in fields]
    names = frozenset(known) if type_.forbid_unknown_fields else None

    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, dict):
            faults.add(path, f"must be an object, not {_kind(value)}")
            return
        within = f"{path}." if path else ""
        for name, is_required, check_field in fields:
            if name in value:
                check_field(value[name], within + name, faults)
            elif is_required:
                faults.add(within + name, "is missing")
        if names is not None:
            for name in value:
                if name not in names:
                    reason = f"is an unknown field{meant(name, known)}"
                    faults.add(within + printable(name), reason)

    return check


def _mapping(type_: inspect.DictType) -> _Check:
    if not isinstance(type_.value_type, inspect.AnyType):
        raise TypeError(f"no check for {type_}")
    return _of_kind(dict, "an object")


def _list(type_: inspect.ListType) -> _Check:
    check_item = _compile(type_.item_type)
    fewest, most = type_.min_length or 0, type_.max_length
    reason = _range(fewest or None, most, "have", " elements")

    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, list):
            faults.add(path, f"must be an array, not {_kind(value)}")
            return
        if len(value) < fewest or (most is not None and len(value) > most):
            faults.add(path, f"{reason}, not {len(value)}")
        for n, item in enumerate(value[:most]):
            check_item(item, f"{path}[{n}]", faults)

    return check


def _text(type_: inspect.StrType, plain: str = "") -> _Check:
    """Return the check of a string. ``plain``: what its pattern asks for, as in ``must …``."""
    shortest, longest = type_.min_length or 0, type_.max_length
    pattern = re.compile(type_.pattern) if type_.pattern else None
    plain = plain or f"match {type_.pattern}"
    reason = _range(shortest or None, longest, "have", " characters")

    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, str):
            faults.add(path, f"must be a string, not {_kind(value)}")
        elif shortest and not value:
            faults.add(path, "must not be empty")
        elif len(value) < shortest or (longest is not None and len(value) > longest):
            faults.add(path, f"{reason}, not {len(value)}")
        elif pattern is not None and (len(value) > 4096 or not pattern.search(value)):
            faults.add(path, f"must {plain}")

    return check


def _whole_number(type_: inspect.IntType) -> _Check:
    reason = _range(type_.ge, type_.le, "be")

    def check(value: Any, path: str, faults: _Faults) -> None:
        if isinstance(value, Decimal):
            faults.add(path, "must be a whole number, without a decimal point or exponent")
        elif not isinstance(value, int) or isinstance(value, bool):
            faults.add(path, f"must be a whole number, not {_kind(value)}")
        elif not _is_within(value, type_.ge, type_.le):
            faults.add(path, reason)

    return check


def _number(type_: inspect.FloatType) -> _Check:
    reason = _range(type_.ge, type_.le, "be")

    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            faults.add(path, f"must be a number, not {_kind(value)}")
        elif not _is_within(value, type_.ge, type_.le):
            faults.add(path, reason)

    return check


def _money(_: inspect.DecimalType) -> _Check:
    return _check_decimal


def _check_decimal(value: Any, path: str, faults: _Faults) -> None:
    if isinstance(value, str):
        if not money_text.is_strict(value):
            faults.add(path, 'must be a decimal number, as in "199.00"')
    elif not isinstance(value, int | Decimal) or isinstance(value, bool):
        faults.add(path, f'must be a decimal string, as in "199.00", not {_kind(value)}')


def _time(type_: inspect.DateTimeType) -> _Check:
    wanted = datetime if type_.tz is None else Annotated[datetime, msgspec.Meta(tz=type_.tz)]
    example = "must be an RFC 3339 time with a time zone, as in 2026-11-27T20:00:00+08:00"

    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, str):
            faults.add(path, f"must be a string with a time, not {_kind(value)}")
            return
        try:
            msgspec.convert(value[:_TIME_CHARS_MAX], wanted)
        except msgspec.ValidationError:
            faults.add(path, example)

    return check


def _uuid(_: inspect.UUIDType) -> _Check:
    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, str):
            faults.add(path, f"must be a string with a UUID, not {_kind(value)}")
            return
        try:
            msgspec.convert(value, UUID)
        except msgspec.ValidationError:
            faults.add(path, "must be a UUID")

    return check


def _one_of(type_: inspect.LiteralType) -> _Check:
    words = [str(value) for value in type_.values]
    reason = f"must be one of {', '.join(words)}"

    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, str):
            faults.add(path, f"{reason}, not {_kind(value)}")
        elif value not in words:
            faults.add(path, reason + meant(value, words))

    return check


def _true_or_false(_: inspect.BoolType) -> _Check:
    return _of_kind(bool, "true or false")


def _of_kind(kind: type, words: str) -> _Check:
    def check(value: Any, path: str, faults: _Faults) -> None:
        if not isinstance(value, kind):
            faults.add(path, f"must be {words}, not {_kind(value)}")

    return check


def _or_null(type_: inspect.UnionType) -> _Check:
    others = [each for each in type_.types if not isinstance(each, inspect.NoneType)]
    if len(others) != 1 or len(others) == len(type_.types):
        raise TypeError(f"no check for {type_}")
    check_other = _compile(others[0])

    def check(value: Any, path: str, faults: _Faults) -> None:
        if value is not None:
            check_other(value, path, faults)

    return check


def _is_within(value: int | Decimal, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _range(least: float | None, most: float | None, verb: str, unit: str = "") -> str:
    """Return a requirement on a number or a length in words."""
    if least is not None and most is not None:
        between = f"from {least:g} to {most:g}" if verb == "be" else f"{least:g} to {most:g}"
        return f"must {verb} {between}{unit}"
    if most is not None:
        return f"must {verb} at most {most:g}{unit}"
    return "is wrong" if least is None else f"must {verb} at least {least:g}{unit}"


def _kind(value: Any) -> str:
    """Return what a value is, in the terms of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return "a number"


_CHECKS: dict[type[inspect.Type], Callable[[Any], _Check]] = {
    inspect.Metadata: _described,
    inspect.StructType: _object,
    inspect.ListType: _list,
    inspect.DictType: _mapping,
    inspect.StrType: _text,
    inspect.IntType: _whole_number,
    inspect.FloatType: _number,
    inspect.DecimalType: _money,
    inspect.DateTimeType: _time,
    inspect.UUIDType: _uuid,
    inspect.LiteralType: _one_of,
    inspect.BoolType: _true_or_false,
    inspect.UnionType: _or_null,
}
