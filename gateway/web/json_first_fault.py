"""The first fault of a body that is too large for a second look, from msgspec's own message."""

import re

import msgspec

from gateway.domain.errors import Fault
from gateway.web.json_faults import BODY, printable

_PATH = re.compile(r"^(?P<reason>.*) - at `\$?\.?(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)
_KIND = re.compile(r"^Expected `(?P<due>\w+)(?: \| null)?`, got `(?P<got>\w+)`$")
_WORDS = {
    "array": "an array",
    "bool": "true or false",
    "datetime": "a string with a time",
    "decimal": "a decimal string",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "a string",
}


def of(exc: msgspec.ValidationError) -> Fault:
    """Return the field and the reason of a decoder's error."""
    text, path = str(exc), ""
    if match := _PATH.match(text):
        text, path = match["reason"], match["path"]
    for pattern, reason in ((_UNKNOWN, "is an unknown field"), (_MISSING, "is missing")):
        if match := pattern.match(text):
            return Fault(".".join(filter(None, (path, printable(match["name"])))), reason)
    # A path without the number of an element says that there are many.
    return Fault(path.replace("[...]", "[]") or BODY, _reason(text))


def _reason(text: str) -> str:
    if match := _KIND.match(text):
        due, got = (_WORDS.get(match[each], match[each]) for each in ("due", "got"))
        return f"must be {due}, not {got}"
    return text[:1].lower() + text[1:200]
