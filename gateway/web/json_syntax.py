"""Where a body stops being JSON, and what is wrong there, in plain words.

msgspec gives a byte that is at times one too far, and none for text that is cut short or is not
UTF-8. So what it rejected, and only that, is read once more by the standard library.
"""

import json
import re
from typing import Any, NoReturn

from msgspec import Struct

#: What the standard library says, by its first words, and what is meant.
_MEANINGS = {
    "Expecting property name": "a field name in double quotes is expected",
    "Expecting value": "a value is expected",
    "Expecting ',' delimiter": "a comma or the closing bracket is expected",
    "Expecting ':' delimiter": "a colon is expected",
    "Illegal trailing comma": "a comma must not be the last in an object or array",
    "Invalid control character": "a control character in a string must be escaped",
    "Invalid \\escape": "JSON does not have this escape",
    "Invalid \\uXXXX escape": "four hexadecimal digits must follow \\u",
    "Unterminated string": "the string that begins here does not end",
    "Extra data": "nothing may follow the JSON value",
}
_BYTE = re.compile(r"\(byte (\d{1,9})\)$")
_MALFORMED = "JSON is malformed: "
_BOM = b"\xef\xbb\xbf"
#: Text without an error that the standard library finds: half of a surrogate pair.
_NOWHERE = "a character is escaped as half of a surrogate pair"


class SyntaxFault(Struct, frozen=True):
    """What is wrong, and where: line and column (in characters) from 1, byte offset from 0."""

    reason: str
    line: int | None = None
    column: int | None = None
    byte: int | None = None

    def __str__(self) -> str:
        """Return both in one phrase."""
        if self.line is None:
            return self.reason
        return f"{self.reason} (line {self.line}, column {self.column}, byte {self.byte})"


def find(body: bytes, message: str, *, is_large: bool = False) -> SyntaxFault:
    """Return the first fault of a body that msgspec did not decode as JSON, with this message.

    ``is_large``: it is not read once more; the message has to do.
    """
    if not body.strip():
        return SyntaxFault("the body is empty")
    if body.startswith(_BOM):
        return SyntaxFault("JSON must not begin with a byte order mark", 1, 1, 0)
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        before = body[: exc.start].decode()
        return _at(f"the byte 0x{body[exc.start]:02x} is not UTF-8", before)
    if is_large:
        return _from_message(message, body)
    try:
        json.loads(text, parse_constant=_reject_constant, parse_int=len, parse_float=len)
    except json.JSONDecodeError as exc:
        before = text[: exc.pos]
        if not text[exc.pos :].strip():
            return _at("the JSON ends too early", before)
        return _at(_meaning(exc.msg), before)
    except _Constant as exc:
        return _at(f"{exc} is not JSON", body[: _byte(message)].decode(errors="ignore"))
    except RecursionError:
        return SyntaxFault("JSON is nested too deeply")
    return SyntaxFault(_NOWHERE)


class _Constant(Exception):
    """NaN or Infinity, which the standard library reads and JSON does not have."""


def _reject_constant(word: str) -> NoReturn:
    raise _Constant(word)


def _from_message(message: str, body: bytes) -> SyntaxFault:
    found = _BYTE.search(message)
    if found is None:
        return _at("the JSON ends too early", body.decode())
    reason = message[: found.start()].removeprefix(_MALFORMED).strip()
    return _at(reason, body[: int(found[1])].decode(errors="ignore"))


def _byte(message: str) -> int:
    """Return the offset in msgspec's message, which is exact where a value should begin."""
    found = _BYTE.search(message)
    return int(found[1]) if found else 0


def _meaning(message: str) -> str:
    for words, meaning in _MEANINGS.items():
        if message.startswith(words):
            return meaning
    return message[:1].lower() + message[1:]


def _at(reason: str, before: str) -> SyntaxFault:
    """Return the fault behind this text."""
    line_begin = before.rfind("\n") + 1
    return SyntaxFault(
        reason,
        line=before.count("\n") + 1,
        column=len(before) - line_begin + 1,
        byte=len(before.encode()),
    )


def context(fault: SyntaxFault) -> dict[str, Any]:
    """Return where it is, for programs; empty where that is not known."""
    if fault.line is None:
        return {}
    return {"line": fault.line, "column": fault.column, "byte": fault.byte}
