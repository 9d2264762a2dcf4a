"""Parsing shared by providers: configuration, JSON, bounded text, money and time.

Functions that read a message raise ``Rejected`` and nothing else. Functions that read the
configuration raise ``ValueError`` whose text never contains a secret.

Text is bounded here once, so that no order or transaction number can make a database batch fail:
printable ASCII, without blanks, no longer than its column.
"""

import binascii
import functools
import hashlib
import re
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec

from gateway.domain import errors, events, money, money_text
from gateway.providers import contract

ORDER_NO_MAX = 64
TRANSACTION_ID_MAX = 128
REFUND_NO_MAX = 128
#: Maximum length of the key and of the kind of a message.
KEY_MAX = 128

#: A secret and its replacement: more are never active at once.
SECRETS_MAX = 2

_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,8})?", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_CHINA_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_CHINA_DIGITS = re.compile(r"\d{14}", re.ASCII)
#: China has no daylight saving time.
_CHINA = timezone(timedelta(hours=8))
# Events outside these years are an error of the sender, and comparing or converting times near
# the limits of datetime raises OverflowError.
_YEARS = range(2000, 2100)
_UNIX_SECONDS = range(946_684_800, 4_102_444_800)

T = TypeVar("T")


def options(account: contract.Account, shape: type[T]) -> T:
    """Decode the account's options. Raises ValueError that names the account and the option."""
    try:
        return msgspec.convert(dict(account.options), shape)
    except msgspec.ValidationError as error:
        # Only a process that will not start needs it.
        from gateway.runtime import value_faults

        sentence = value_faults.sentence(error, shape)
        raise ValueError(f"account {account.name!r}: options: {sentence}") from None


def secrets(account: contract.Account) -> Sequence[str]:
    """Return the active secrets, one or two. Raises ValueError if there are none or more."""
    if not 1 <= len(account.secrets) <= SECRETS_MAX:
        raise misconfigured(
            account, f"needs 1 or {SECRETS_MAX} secrets, has {len(account.secrets)}"
        )
    return account.secrets


def is_plain(secret: str) -> bool:
    """Return whether a secret is printable ASCII without blanks, as consoles show it."""
    return secret.isascii() and secret.isprintable() and " " not in secret


def only_channel(account: contract.Account) -> str:
    """Return the channel of a shop's orders. Raises ValueError unless there is exactly one."""
    if len(account.channels) != 1:
        raise misconfigured(account, "needs exactly one channel: the one its orders get")
    return account.channels[0]


def misconfigured(account: contract.Account, what: str) -> ValueError:
    """Return the error of an invalid account; ``what`` follows the account's name."""
    return ValueError(f"account {account.name!r} {what}")


def base64_bytes(text: str | bytes) -> bytes | None:
    """Decode strict, padded base64; None if it is invalid."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def decoded(decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> T:
    """Decode JSON of which only the needed fields are typed. Raises ``Rejected``."""
    try:
        found = decoder.decode(content)
        _check_money(decoder, content)
        return found
    except RecursionError:
        raise malformed("the JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise malformed("the JSON is not UTF-8") from None
    except msgspec.MsgspecError as error:
        # The library names the field and the type it expected, never a value.
        raise malformed(f"not of the documented shape: {error}") from None


def decoded_leniently(decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> T:
    """Decode JSON of a sender that writes fields in several ways. Raises ``Rejected``.

    Plug-ins and versions of a shop disagree: null, ``""`` and ``[]`` stand for "none", numbers are
    text and whole numbers are floats. Such content is read again: what stands for none is left out,
    and each number is taken as its text.
    """
    try:
        found = decoder.decode(content)
        _check_money(decoder, content)
        return found
    except msgspec.ValidationError as error:
        first = error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return decoded(decoder, content)
    try:
        read = money_text.without_odd(_EXACT.decode(content), decoder.type)
        plain = msgspec.json.encode(_mended(read))
        return msgspec.json.decode(plain, type=decoder.type, strict=False)
    except RecursionError:
        raise malformed("the JSON is nested too deeply") from None
    except msgspec.MsgspecError:
        raise malformed(f"not of the documented shape: {first}") from None


def decoded_as_possible(
    decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw, *, needed: Collection[str]
) -> T:
    """Decode as ``decoded_leniently``, without the fields that cannot be read.

    A field that is ``needed``, by its name, is never left out. Raises ``Rejected``.
    """
    try:
        return decoded_leniently(decoder, content)
    except errors.Rejected as rejected:
        first = rejected
    try:
        plain = _mended(money_text.without_odd(_EXACT.decode(content), decoder.type))
        for _ in range(LEFT_OUT_MAX):
            try:
                return msgspec.json.decode(
                    msgspec.json.encode(plain), type=decoder.type, strict=False
                )
            except msgspec.ValidationError as error:
                if not _leave_out(plain, str(error), needed):
                    break
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    raise first


#: How many fields of one message may be unreadable.
LEFT_OUT_MAX = 100
_AT = re.compile(r" - at `\$((?:\.\w+|\[\d+\])*)\.(\w+)(?:\[\d+\])*`", re.ASCII)


def _leave_out(plain: Any, error: str, needed: Collection[str]) -> bool:
    """Delete the field that the error is about, or the list that it is in; return if it could."""
    found = _AT.search(error)
    if found is None or found[2] in needed:
        return False
    for step in re.findall(r"\w+", found[1]):
        plain = plain[int(step) if isinstance(plain, list) else step]
    return plain.pop(found[2], None) is not None


def _check_money(decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> None:
    """Raise ``msgspec.ValidationError`` where money stands in odd text."""
    keys = _money_keys(cast("Hashable", decoder.type))
    if keys and money_text.may_be_odd(bytes(content), keys):
        money_text.check(content, decoder.type)


_money_keys = functools.cache(money_text.keys_of)
_EXACT = msgspec.json.Decoder(float_hook=Decimal)
_NONE: tuple[object, ...] = (None, "", [], {})


def _mended(value: object) -> object:
    if isinstance(value, dict):
        return {name: _mended(each) for name, each in value.items() if each not in _NONE}
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return value


def part(found: object, shape: type[T]) -> T | None:
    """Return a part of a message that carries no money, or None where it cannot be read."""
    try:
        return msgspec.convert(found, shape)
    except msgspec.ValidationError:
        return None


def text(found: object) -> str:
    """Return a text, and a whole number as its digits; ``""`` for all else."""
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def malformed(what: str) -> errors.Rejected:
    """Return the rejection of a message with a valid signature and invalid content."""
    return errors.Rejected("malformed", what)


def event_or_unmapped(
    read: Callable[[], events.Event], *, kind: str, at: datetime, order_no: str = ""
) -> events.Event:
    """Return what ``read`` makes of a verified message; one that cannot be read is ``Unmapped``.

    A genuine message is not rejected for its content: the provider would send the same again for
    days, and then lose it. Raises ``Rejected`` for what is not ours or not supported.
    """
    try:
        return read()
    except errors.Rejected as rejected:
        if rejected.reason != "malformed":
            raise
        return events.Unmapped(kind, order_no, rejected.hint, at)


def is_token(text: str, length_max: int) -> bool:
    """Return whether ``text`` is 1 to ``length_max`` printable ASCII characters, no blanks."""
    return (
        1 <= len(text) <= length_max and text.isascii() and text.isprintable() and " " not in text
    )


def token(text: str, name: str, length_max: int) -> str:
    """Return ``text`` if it is 1 to ``length_max`` printable ASCII characters, no blanks."""
    if is_token(text, length_max):
        return text
    raise malformed(f"{name} is not 1 to {length_max} printable ASCII characters without blanks")


def key(text: str, signed: bytes) -> str:
    """Return the provider's id of a message, or a digest of what it signed where that is none."""
    if is_token(text, KEY_MAX):
        return text
    return hashlib.blake2b(signed, digest_size=16).hexdigest()


def kind(*texts: str) -> str:
    """Return the first of ``texts`` that can name a message, or ``"unknown"``."""
    for text in texts:
        if is_token(text, KEY_MAX):
            return text
    return "unknown"


def order_no(text: str) -> str:
    """Return a valid order number."""
    return token(text, "the order number", ORDER_NO_MAX)


def merchant_order_no(found: object) -> str:
    """Return what the merchant entered as reference if it is an order number, else ``""``.

    It is free text at the provider ("Order 1001", a note, nothing): money counts without it, and
    waits until a person says which order it is for.
    """
    return found if isinstance(found, str) and is_token(found, ORDER_NO_MAX) else ""


def reference(passed: object, otherwise: object) -> str:
    """Return the order number of a payment whose own number at the merchant is ``otherwise``.

    ``passed`` is what the merchant had the provider pass through: it names the order where one
    order is paid by several payments, each of which needs a number of its own.
    """
    return merchant_order_no(passed) or merchant_order_no(otherwise)


def merchant_refund_no(found: str) -> str:
    """Return the merchant's number of a refund, or ``""`` where it cannot be stored."""
    return found if is_token(found, REFUND_NO_MAX) else ""


def transaction_id(text: str) -> str:
    """Return the provider's number of a transaction."""
    return token(text, "the transaction number", TRANSACTION_ID_MAX)


def label(text: str, name: str, length_max: int) -> str:
    """Return ``text`` of any script if it is printable, not blank and not too long."""
    # str.isprintable is false for control characters and for lone surrogates.
    if 1 <= len(text) <= length_max and text.isprintable() and not text.isspace():
        return text
    raise malformed(f"{name} is not 1 to {length_max} printable characters")


def currency(code: str) -> str:
    """Return an ISO 4217 code in use, upper case as given."""
    if code in money.DECIMALS:
        return code
    raise malformed("the currency is not an ISO 4217 code in use")


def amount(value: Decimal, code: str) -> Decimal:
    """Return ``value`` with exactly the decimals of its currency; zero is allowed."""
    decimals = money.DECIMALS[currency(code)]
    if fault := money.fault(value, decimals):
        raise malformed(f"the amount {fault}")
    # Normalise the sign of zero and trailing zeros; the value stays the same.
    return round(value, decimals) if value else money.ZERO


def refund_amount(value: Decimal, code: str) -> Decimal:
    """Return a refunded amount, which must not be zero."""
    if returned := amount(value, code):
        return returned
    raise malformed("the refund is zero")


def decimal(text: str, name: str) -> Decimal:
    """Parse a plain decimal such as ``88.80``: no sign, no exponent, ASCII digits."""
    if _DECIMAL.fullmatch(text) and money_text.is_strict(text):
        return Decimal(text)
    raise malformed(f"{name} is not a plain decimal number")


def moment(value: datetime) -> datetime:
    """Return a time with a zone in UTC, if its year is plausible."""
    if value.year in _YEARS and value.tzinfo is not None:
        return value.astimezone(UTC)
    raise malformed("a time is outside the years 2000 to 2099 or has no zone")


def moment_or(found: object, otherwise: datetime) -> datetime:
    """Return an ISO 8601 time with a zone in UTC, or ``otherwise`` where that is none."""
    try:
        return moment(msgspec.convert(found, datetime))
    except (msgspec.ValidationError, errors.Rejected):
        return otherwise


def from_unix(seconds: int) -> datetime:
    """Convert unix seconds to a time in UTC."""
    if seconds in _UNIX_SECONDS:
        return datetime.fromtimestamp(seconds, UTC)
    raise malformed("a unix time is outside the years 2000 to 2099")


def from_china(text: str, name: str) -> datetime:
    """Parse ``2026-11-23 11:59:30``, a local time of China."""
    if _CHINA_TIME.fullmatch(text):
        try:
            return moment(datetime.fromisoformat(text).replace(tzinfo=_CHINA))
        except ValueError:
            pass
    raise malformed(f"{name} is not a time as 2026-11-23 11:59:30")


def from_china_digits(text: object) -> datetime | None:
    """Return a local time of China as ``20261123115930``, or None where that is none."""
    if isinstance(text, str) and _CHINA_DIGITS.fullmatch(text):
        try:
            return moment(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=_CHINA))
        except (ValueError, errors.Rejected):
            pass
    return None


def signed_at(text: str) -> int:
    """Parse the unix seconds of a signature."""
    if _SECONDS.fullmatch(text):
        return int(text)
    raise errors.Rejected("bad_signature", "the time of the signature is not in unix seconds")


def check_fresh(signed: int, *, now: datetime, tolerance_s: int) -> None:
    """Raise ``Rejected`` if the signature is more than ``tolerance_s`` old or ahead of us."""
    age_s = now.timestamp() - signed
    if age_s > tolerance_s:
        raise errors.Rejected(
            "stale",
            f"signed {age_s:.0f} s ago, {tolerance_s} s are allowed; "
            "a replay, a proxy that holds requests back, or a clock that is ahead",
        )
    if -age_s > tolerance_s:
        raise errors.Rejected(
            "stale",
            f"signed {-age_s:.0f} s ahead of our clock, {tolerance_s} s are allowed; "
            "check that this machine's clock is synchronised",
        )
