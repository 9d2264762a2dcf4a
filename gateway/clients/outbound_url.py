"""Where a call goes, read from a URL once and strictly.

Lenient readers disagree: what a check takes for a name, the resolver takes for 127.0.0.1 (decimal,
octal and hexadecimal hosts), and one reader's user name is the next one's host. So a URL that two
readers could read differently is refused, with the reason.
"""

import ipaddress
import re
from functools import lru_cache

from msgspec import Struct

#: RFC 3986, 2: what a URL consists of; all else is percent-encoded, or punycode in a host.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_PARTS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\[\]/?]*\]|[^\[\]:/?]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:[/?].*)?)"
)
_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}")
#: How the URL standard tells that a host is meant as an IPv4 address: by its last label.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_URL_CHARS_MAX = 2048


class BadUrl(ValueError):
    """It is no URL that can be called. The text says why, and does not quote it."""


class Destination(Struct, frozen=True):
    """An http(s) URL in the parts that a client needs."""

    is_tls: bool
    #: A name, or an address in its canonical form without brackets.
    host: str
    port: int
    #: The value of the header Host.
    authority: str
    #: Path and query, exactly as they were written.
    target: str
    is_address: bool


@lru_cache(maxsize=1024)
def parse(url: str) -> Destination:
    """Return the parts of an absolute http(s) URL. Raises ``BadUrl``."""
    if not url.isascii():
        raise BadUrl("the URL is not ASCII: write its host in punycode, the rest percent-encoded")
    if len(url) > _URL_CHARS_MAX or not _CHARACTERS.fullmatch(url):
        raise BadUrl("the URL is empty, too long, or has characters that no URL has")
    if not url.startswith(("http://", "https://")):
        raise BadUrl("the URL does not begin with https:// or http://")
    if "#" in url:
        raise BadUrl("the URL has a fragment (#), which is never sent")
    if "@" in re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]:
        raise BadUrl("the URL has a user name or password: they do not belong there")
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise BadUrl("the URL has a malformed host or port")
    is_tls = parts["scheme"] == "https"
    default_port = 443 if is_tls else 80
    port = int(parts["port"] or default_port)
    if not 1 <= port <= 65535:
        raise BadUrl("the URL's port is not from 1 to 65535")
    host, is_address = _host(parts["host"].lower())
    shown = f"[{host}]" if ":" in host else host
    return Destination(
        is_tls=is_tls,
        host=host,
        port=port,
        authority=shown if port == default_port else f"{shown}:{port}",
        target=parts["path"] if parts["path"].startswith("/") else "/" + parts["path"],
        is_address=is_address,
    )


def _host(text: str) -> tuple[str, bool]:
    """Return the host, and whether it is an address."""
    if "%" in text:
        raise BadUrl("the URL's host is percent-encoded or has a zone, and is no host name")
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1])), True
        if _NUMBER.fullmatch(text.removesuffix(".").rpartition(".")[2]):
            return str(ipaddress.IPv4Address(text)), True
    except ValueError:
        raise BadUrl("the URL's host is a number, and no IP address in its usual form") from None
    if text.endswith("."):
        raise BadUrl("the URL's host ends in a dot: write it without")
    if not _NAME.fullmatch(text):
        raise BadUrl("the URL has no host, or one that is no host name")
    return text, False
