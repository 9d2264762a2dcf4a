"""A masked view of a message: its structure stays, what may be private does not.

What is not known to be harmless is masked: numbers of orders and transactions, amounts, times,
states and kinds stay clear, names, phones, streets, addresses, identity numbers and free text do
not. The name of a field decides first, then the shape of its value. Whatever cannot be read is
described by its length.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec

#: Fields whose values are private, whatever they look like.
_PRIVATE = re.compile(
    r"name|phone|mobile|tel|mail|street|address|addr|buyer|customer|recipient|receiver|consignee|"
    r"contact|payer|openid|unionid|id_?card|cert|identity|passport|birth|postcode|zip|postal|"
    r"account|acc_?no|card|iban|bic|holder|owner|person|user|remark|note|memo|comment|message|text|"
    r"description|title|subject|body|attach|passback|reserved|latitude|longitude|token|sign|secret|"
    r"nonce|cipher|url|browser|agent|^ip$|_ip$|province|city|district|area|"
    r"shopper|guest|member|national|citizen|resident|cell_?(no|number)|^cell$|wechat_?id|wx_?id|"
    r"tax_?id|by$|_to$|(deliver\w*|ship\w*|bill\w*|invoice|charge|sent|send)to$",
    re.IGNORECASE,
)
#: Fields whose values are clear where they have a harmless shape.
_CLEAR = re.compile(
    r"amount|amt|total|price|fee|payable|paid|tax|discount|subtotal|refunded|captured|currency|"
    r"status|state|type|kind|event|object|code|version|livemode|^live$|success|mode|method|channel|"
    r"quantity|qty|count|sku|time|date|created|updated|timestamp|"
    r"order_?(no|id|number|ref)|trade_?no|transaction|txn|refund|payment_?(intent|id)|"
    r"psp_?reference|reference|query_?id|orig_?qry|notify_id|reason|carrier|tracking|com$|nu$|"
    r"^id$|_id$|^tid$|^number$|^no$|_no$|mchid|merid|appid|shop|kdt|^tag|charge|invoice|capture|"
    r"resource|financial|fulfil",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[A-Za-z0-9._:/+#-]{1,64}", re.ASCII)
_PERSONAL = re.compile(
    r"@|^\+?\d{3,4}[ -]\d|^\+\d{6,}$|^\+\d[\d.-]{6,}$|"
    # A mobile number, wherever it stands.
    r"(?<!\d)(86)?1[3-9]\d{9}(?!\d)|"
    # An identity number: a region, a date of birth, a serial number.
    r"^\d{6}(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[\dXx]$",
    re.ASCII,
)
_CLEAR_HEADERS = frozenset({"content-type", "content-length", "content-encoding", "date"})
#: A number with so many digits may be a phone.
_DIGITS_MAX = 6
_DEPTH_MAX = 40
_MASK_MAX = 12


def masked(body: bytes, *, clear: Collection[str] = ()) -> Any:
    """Return a masked view of a message as plain objects. ``clear``: values that stay as they are.

    JSON stays JSON, a form becomes an object; of anything else only its length is told.
    """
    known = frozenset(value for value in clear if value)
    try:
        plain = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _form(body, known)
    return _value("", plain, known, 0)


def masked_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers with their values masked, but for those that say how a body is written."""
    return [
        (name, value if name.lower() in _CLEAR_HEADERS else _mask(value)) for name, value in headers
    ]


def _form(body: bytes, clear: frozenset[str]) -> Any:
    try:
        text = body.decode("ascii")
        if not text:
            raise ValueError("nothing")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=500)
    except (ValueError, UnicodeDecodeError):
        return f"{len(body)} bytes that are neither JSON nor a form"
    return {_key(name): _value(name, value, clear, 0) for name, value in pairs}


def _value(name: str, value: Any, clear: frozenset[str], depth: int) -> Any:
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {_key(key): _value(key, each, clear, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_value(name, each, clear, depth + 1) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(name, value, clear, depth)
    return value if _is_harmless_number(name, value, clear) else _mask(str(value))


def _text(name: str, value: str, clear: frozenset[str], depth: int) -> Any:
    if not value or value in clear:
        return value
    if (inner := _inner(value)) is not None:
        return _value(name, inner, clear, depth + 1)
    if _is_time(value) and not re.search("birth", name, re.IGNORECASE):
        return value
    if _PRIVATE.search(name) or not _CLEAR.search(name) or _PERSONAL.search(value):
        return _mask(value)
    return value if _TOKEN.fullmatch(value) else _mask(value)


def _inner(value: str) -> Any:
    """Return the JSON inside a text, percent-encoded or not; None: there is none."""
    text = value.lstrip()
    if text.startswith(("%7B", "%7b", "%5B", "%5b")):
        text = unquote_plus(text)
    if not text.startswith(("{", "[")):
        return None
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def _is_harmless_number(name: str, value: float, clear: frozenset[str]) -> bool:
    if str(value) in clear:
        return True
    if _PRIVATE.search(name):
        return False
    if _CLEAR.search(name):
        return not _PERSONAL.search(str(value))
    return len(str(value)) <= _DIGITS_MAX


def _is_time(value: str) -> bool:
    if not value[:4].isdigit() or len(value) < len("2026-01-01"):
        return False
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return False
    return "-" in value[4:5]


def _key(name: object) -> str:
    """Return the name of a field; one that may itself be private is masked."""
    text = str(name)
    return text if _TOKEN.fullmatch(text) and not _PERSONAL.search(text) else _mask(text)


def _mask(value: str) -> str:
    """Return the first character and a star for each further one, as far as they are counted."""
    stars = min(len(value), _MASK_MAX) - 1
    return value[:1] + "*" * max(stars, 2)
