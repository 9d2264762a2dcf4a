"""The media type of a body (RFC 9110, 8.3): whether it is JSON in UTF-8, whatever else it says."""

import re

from gateway.web.response import JSON

_UTF_8 = frozenset({"utf-8", "utf8"})
#: One parameter, or none between two semicolons. Blanks around the equals sign are no HTTP, and
#: are sent nevertheless.
_PARAMETER = re.compile(
    r';[ \t]*(?:(?P<name>[^\s;="]+)[ \t]*(?:=[ \t]*'
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s;"]*)))?)?[ \t]*'
)


def json_fault(content_type: str) -> str:
    """Return what a Content-Type lacks to be that of JSON in UTF-8; empty: it is that.

    The parameters of ``application/json`` mean nothing (RFC 8259), so any are taken; but a body in
    another charset would be read wrongly.
    """
    if content_type == JSON:
        return ""
    essence, semicolon, rest = content_type.partition(";")
    if essence.strip(" \t").lower() != JSON:
        return f"is not {JSON}"
    rest = semicolon + rest
    at = 0
    while at < len(rest):
        found = _PARAMETER.match(rest, at)
        if found is None:
            return "has parameters that cannot be read"
        quoted = found["quoted"]
        value = found["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if (found["name"] or "").lower() == "charset" and (value or "").lower() not in _UTF_8:
            return "has a charset that is not UTF-8"
        at = found.end()
    return ""
