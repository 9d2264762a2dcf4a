"""Plain telephone numbers, read by pattern: nearly all are, and nearly nothing is spent on them.

What these patterns make of a text is what stored orders are found by: it stays as it is.
"""

import re

#: National patterns of the countries most sold to; every other country takes the general one.
_NATIONAL: dict[str, re.Pattern[str]] = {
    "CN": re.compile(r"(?:\+?86)?(1[3-9]\d{9}|0(?!0)\d{9,11}|400\d{7})", re.ASCII),
    "HK": re.compile(r"(?:\+?852)?([2-9]\d{7})", re.ASCII),
    "MO": re.compile(r"(?:\+?853)?([268]\d{7})", re.ASCII),
    "TW": re.compile(r"(?:\+?886|0)?([2-9]\d{7,8})", re.ASCII),
    "US": re.compile(r"(?:\+?1)?([2-9]\d{9})", re.ASCII),
    "CA": re.compile(r"(?:\+?1)?([2-9]\d{9})", re.ASCII),
    "JP": re.compile(r"(?:\+?81|0)([1-9]\d{8,9})", re.ASCII),
    "KR": re.compile(r"(?:\+?82|0)([1-9]\d{7,9})", re.ASCII),
    "SG": re.compile(r"(?:\+?65)?([3689]\d{7})", re.ASCII),
    "GB": re.compile(r"(?:\+?44|0)([1-9]\d{8,9})", re.ASCII),
    "DE": re.compile(r"(?:\+?49|0)([1-9]\d{5,12})", re.ASCII),
    "FR": re.compile(r"(?:\+?33|0)([1-9]\d{8})", re.ASCII),
    "AU": re.compile(r"(?:\+?61|0)([2-478]\d{8})", re.ASCII),
}
_CALLING_CODE = {
    "CN": "86", "HK": "852", "MO": "853", "TW": "886", "US": "1", "CA": "1", "JP": "81",
    "KR": "82", "SG": "65", "GB": "44", "DE": "49", "FR": "33", "AU": "61",
}  # fmt: skip
_GENERAL = re.compile(r"\+?(\d{5,15})", re.ASCII)
_PUNCTUATION = str.maketrans("", "", " -().\u00a0")


def has_pattern(country: str) -> bool:
    """Return whether a plain number of this country is more than so many digits."""
    return country in _NATIONAL


def plain(phone: str, country: str) -> str | None:
    """Return the number as ``+<calling code><national number>``, or None if it is not plain.

    For a country without a pattern here the digits stay as written.
    """
    digits = phone.translate(_PUNCTUATION)
    pattern = _NATIONAL.get(country)
    if pattern is None:
        match = _GENERAL.fullmatch(digits)
        return f"+{match[1]}" if match else None
    match = pattern.fullmatch(digits)
    return f"+{_CALLING_CODE[country]}{match[1]}" if match else None
