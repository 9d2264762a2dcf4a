"""Telephone numbers that are not plain: other spellings, extensions, virtual and hidden numbers.

The library ``phonenumbers`` judges bare digits only. Extensions, masks and what people write
around a number are read here: the library drops them or takes them for digits, and the mask
``138****8000`` is a possible number to it.
"""

import re
import unicodedata
from collections.abc import Iterator

import phonenumbers
from msgspec import Struct
from phonenumbers import SUPPORTED_REGIONS, PhoneNumber, PhoneNumberFormat

from gateway.domain.plain_phones import has_pattern, plain

#: Longer texts are not read. A field holds less, but one character may unfold to many.
_LENGTH_MAX = 128
_PUNCTUATION = str.maketrans("", "", " -().[]/~")
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\t\n\r", " "),
        **dict.fromkeys("\u2212\u30fc", "-"),
        **dict.fromkeys("\u2217\u00d7", "*"),
        **dict.fromkeys("\u2022\u2027\u2219\u22c5\u25cf\u30fb", "\u00b7"),
    }
)
#: Of a ``tel:`` URI (RFC 3966).
_CONTEXT = re.compile(r";phone-context=(\+\d{1,4})")
_PARAMETER = re.compile(r";(?!ext=)[a-z][a-z0-9-]*=[^;]*")
#: What people write before and after: ``tel:``, ``手机``, ``(home)``.
_AROUND = re.compile(r"[^\d+(]*(?P<core>[\d+(].*?)[^\d]*")
_EXTENSION = re.compile(
    r"(?P<base>.*?[\d*])[ )]*[ ,;(\[-]*"
    r"(?:;ext=|,|;|_|#|\[|extension|extn?|[xpw]|poste|durchwahl|anexo|ramal|interno|int|доб|"
    r"转接?|轉接?|分机号?|分機號?|内线|[内內]線|내선)[ .:#-]*(?P<extension>\d{1,7})"
)
#: A hyphen may be part of the number as well: an extension only where nothing else fits.
_SUFFIX = re.compile(r"(?P<base>.*\d) *- *(?P<extension>\d{1,6})")
_HIDDEN = re.compile(r"(?=.*\d)\+?\d*[*x#\u00b7]{2}[*x#\u00b7\d]*")
_HIDDEN_SUFFIX = re.compile(r"(?P<base>.*[*x#\u00b7]\d{2,}) *- *(?P<extension>\d{1,6})")
_MASKS = str.maketrans("x#\u00b7", "***")
_DIGITS = re.compile(r"\+?\d{3,18}")
_CN_MOBILE = re.compile(r"1[3-9]\d{9}")


class Reading(Struct, frozen=True):
    """What was read. ``found_by``: see ``phones.normalised``; ``is_unclear``: it is no number.

    ``digits``: of a number without its ``extension``, as they were written; else empty.
    """

    found_by: str
    is_unclear: bool = False
    digits: str = ""
    extension: str = ""


def read(text: str, country: str) -> Reading:
    """Read a text that was written for this country."""
    folded = _folded(text)
    if len(folded) <= _LENGTH_MAX:
        for base, extension in _hidden(folded):
            bare = base.translate(_PUNCTUATION)
            if _HIDDEN.fullmatch(bare):
                return Reading(_with_extension(bare.translate(_MASKS), extension))
        for base, extension in _numbers(folded):
            digits = _bare(base)
            if found_by := _found_by(digits, country):
                return Reading(
                    _with_extension(found_by, extension), digits=digits, extension=extension
                )
    return Reading(folded.translate(_PUNCTUATION), is_unclear=True)


def is_unclear(text: str, country: str) -> bool:
    """Return whether a text is no number, as far as anybody knows the numbers of the country.

    Digits that are taken as they were written, for want of a pattern, are judged here.
    """
    reading = read(text, country)
    if not reading.digits or has_pattern(country) or country not in SUPPORTED_REGIONS:
        return reading.is_unclear
    return not any(
        _parsed(digits, country) or _valid(f"+{digits}")
        for digits in [_bare(base) for base, _ in _numbers(_folded(text))]
    )


def spellings(text: str, country: str) -> list[str]:
    """Return what the same number may be found by in any spelling; see ``phones.spellings``."""
    reading = read(text, country)
    # As plain numbers are read, first: that is how an order with this very text is found.
    found = [plain(text, country), reading.found_by]
    number = _parsed(reading.digits, country) if reading.digits else None
    if number is not None:
        for each in _plain_spellings(number, country):
            found.append(_with_extension(each, reading.extension))
        if reading.extension:
            # A hyphen before it is punctuation to the patterns.
            found += _national_readings(number, country, reading.extension)
    return list(dict.fromkeys(filter(None, found)))


def _folded(text: str) -> str:
    """Return a text in ASCII where that means the same, in small letters, without what is unseen.

    Full-width and all other decimal digits become ASCII; direction marks and zero-width
    characters go; every blank is a space, every dash a hyphen.
    """
    folded = []
    for character in unicodedata.normalize("NFKC", text).translate(_ALIKE):
        category = unicodedata.category(character)
        if category == "Nd":
            folded.append(str(unicodedata.decimal(character)))
        elif category[0] == "Z":
            folded.append(" ")
        elif category == "Pd":
            folded.append("-")
        elif category not in ("Cf", "Cc", "Mn", "Me"):
            folded.append(character)
    return " ".join("".join(folded).casefold().split())


def _hidden(folded: str) -> Iterator[tuple[str, str]]:
    """Yield how a text may be a hidden number and an extension."""
    for pattern in (_EXTENSION, _HIDDEN_SUFFIX):
        if match := pattern.fullmatch(folded.rstrip(" )]")):
            yield match["base"], match["extension"]
    yield folded, ""


def _numbers(folded: str) -> Iterator[tuple[str, str]]:
    """Yield how a text may be a number and an extension, the likeliest first."""
    context = _CONTEXT.search(folded)
    around = _AROUND.fullmatch(_PARAMETER.sub("", folded))
    if around is None:
        return
    core = around["core"]
    prefix = context[1] if context and not core.startswith("+") else ""
    if match := _EXTENSION.fullmatch(core):
        yield prefix + match["base"], match["extension"]
        return
    yield prefix + core, ""
    if match := _SUFFIX.fullmatch(core):
        yield prefix + match["base"], match["extension"]


def _bare(base: str) -> str:
    """Return the digits of a base, with the plus in front of them."""
    return base.translate(_PUNCTUATION).replace("\u00b7", "")


def _found_by(digits: str, country: str) -> str | None:
    """Return what a number is found by; None where these are not the digits of one."""
    if not _DIGITS.fullmatch(digits):
        return None
    found_by = plain(digits, country)
    if found_by is None and (number := _parsed(digits, country)):
        found_by = _canonical(number)
    return found_by


def _parsed(digits: str, country: str) -> PhoneNumber | None:
    """Return the valid number of these digits: dialled from the country, or else from abroad."""
    if digits.startswith("+"):
        # Until 2019 a Mexican mobile was dialled with a 1, and many address books still have it.
        return (
            _valid(digits)
            or (_valid(f"+52{digits[4:]}") if digits.startswith("+521") else None)
            or _valid(digits[1:], country)
        )
    # The prefix of most countries, and written in those that have another one as well.
    abroad = _valid(f"+{digits[2:]}") if digits.startswith("00") else None
    number = abroad or _valid(digits, country)
    if number is not None or plain(digits, country) is not None:
        return number
    # A calling code without its plus; in front of American numbers it looks like a mistyped one
    # of elsewhere. Or a mobile of the mainland, sent to somewhere else.
    code = None if digits.startswith("1") else _valid(f"+{digits}")
    mainland = _valid(digits, "CN") if _CN_MOBILE.fullmatch(digits) else None
    return code or mainland


def _valid(digits: str, country: str | None = None) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _canonical(number: PhoneNumber) -> str:
    """Return what a number is found by, where the patterns of plain numbers know it: as by them.

    They leave the 0 of a Chinese landline where it is.
    """
    mainland = plain(_national(number), "CN") if number.country_code == 86 else None
    return mainland or phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _national(number: PhoneNumber) -> str:
    """Return the digits of a number as they are dialled within its country."""
    text = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return "".join(filter(str.isdecimal, text))


def _plain_spellings(number: PhoneNumber, country: str) -> Iterator[str | None]:
    """Yield what the patterns of plain numbers make of the usual spellings of a number."""
    code, digits = number.country_code, phonenumbers.national_significant_number(number)
    yield _canonical(number)
    yield f"+{code}{digits}"
    yield from _national_readings(number, country)
    # Sent to a country without a pattern, where digits are taken as they were written.
    yield plain(f"+{code}{_national(number)}", "")
    yield plain(f"+00{code}{digits}", "")
    if 8 <= len(f"{code}{digits}") <= 10:
        # With 00 in front it was once taken for a Chinese landline.
        yield f"+8600{code}{digits}"
    if code == 52:
        yield f"+521{digits}"


def _national_readings(number: PhoneNumber, country: str, more: str = "") -> Iterator[str | None]:
    """Yield what the patterns make of a number that is written without its calling code."""
    regions = {phonenumbers.region_code_for_number(number)}
    if phonenumbers.country_code_for_region(country) == number.country_code:
        regions.add(country)
    digits = phonenumbers.national_significant_number(number)
    for region in filter(None, regions):
        yield plain(_national(number) + more, region)
        yield plain(digits + more, region)


def _with_extension(found_by: str | None, extension: str) -> str:
    return f"{found_by};ext={extension}" if found_by and extension else found_by or ""
