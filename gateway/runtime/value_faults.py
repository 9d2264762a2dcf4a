"""What a value of a settings file, a plan or the environment must be, in plain words."""

import re
from typing import Any

import msgspec
from msgspec import inspect

_LACKS = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`")
#: How the library says that a fault is in a name and not in its value.
_KEY = "key` in `"
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
#: The beginning of a pattern, and its end that takes no line break: no reader needs them.
_PATTERN_ENDS = re.compile(r"^(?:\^|\\A)|(?:\$\(\?!\\n\)|\\Z)$")


def must_be(of_type: Any) -> str:
    """Describe the values of a type with their bounds: ``a whole number from 1 to 8``."""
    return _described(inspect.type_info(of_type))


def sentence(error: msgspec.ValidationError, of_type: type) -> str:
    """Return what is wrong with one value of a document that should be of ``of_type``.

    It names the value as the document writes it; sections are counted from 1:
    ``account 2: name is missing``.
    """
    text, _, path = str(error).partition(" - at `")
    is_key = path.startswith(_KEY)
    kind: inspect.Type | None = inspect.type_info(of_type)
    words: list[str] = []
    # Of a table whose keys are free, the fault does not say which value it is in.
    path = path.removeprefix(_KEY).rstrip("`").replace("[...]", ".a value")
    for name, index in _STEP.findall(path):
        kind = _inside(kind, name)
        if name:
            words.append(name)
        elif words:
            words[-1] = f"{words[-1].removesuffix('s')} {int(index) + 1}"
    if is_key and isinstance(kind, inspect.DictType):
        kind = kind.key_type
        words.append("a name")
    if found := _LACKS.match(text):
        return ": ".join([*words, f"{found[1]} is missing"])
    if found := _UNKNOWN.match(text):
        return ": ".join([*words, f"there is no {found[1]}: is it misspelt?"])
    *where, what = words or ["the content"]
    fault = text if kind is None else f"must be {_described(kind)}"
    return ": ".join([*where, f"{what} {fault}"])


def _inside(kind: inspect.Type | None, name: str) -> inspect.Type | None:
    """Return the type of a field of this name, or of an item; None where it is not known."""
    if isinstance(kind, inspect.DictType) and name:
        return kind.value_type
    if isinstance(kind, inspect.StructType) and name:
        return next((each.type for each in kind.fields if each.encode_name == name), None)
    if isinstance(kind, inspect.CollectionType) and not name:
        return kind.item_type
    return None


def _described(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, kind.values))}"
        case inspect.IntType():
            return f"a whole number{_bounds(kind)}"
        case inspect.FloatType():
            return f"a number{_bounds(kind)}"
        case inspect.StrType() if kind.pattern is not None:
            return f"written as {_PATTERN_ENDS.sub('', kind.pattern)}"
        case inspect.StrType():
            return f"text in quotes{_lengths(kind)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.DateTimeType():
            return "a date and time with its zone, as in 2026-11-27T20:00:00+08:00"
        case inspect.UnionType():
            given = (each for each in kind.types if not isinstance(each, inspect.NoneType))
            return " or ".join(map(_described, given))
        case inspect.CollectionType():
            least, most = kind.min_length, kind.max_length
            size = f" of {least} to {most}" if most else f" of {least} or more" if least else ""
            return f"a list{size}"
        case _:
            return "a section of its own"


def _lengths(kind: inspect.StrType) -> str:
    if kind.max_length is None:
        return ""
    return f" of {kind.min_length or 0} to {kind.max_length} characters"


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.le is None:
        return ""
    least = kind.gt if kind.ge is None else kind.ge
    if least is None:
        return f" of {_plain(kind.le)} at most"
    between = f"above {least:g} and up to" if kind.ge is None else f"from {least:g} to"
    return f" {between} {_plain(kind.le)}"


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)
