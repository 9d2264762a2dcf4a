"""Which parts an address needs in its country, and which form its postcode has.

Only what is certain: of other countries nothing is asked.
"""

import re
from collections.abc import Sequence

#: The forms of postcodes: ``9`` is a digit, ``A`` a letter, all else stands for itself.
FORMS: dict[str, tuple[str, ...]] = {
    "AU": ("9999",), "AT": ("9999",), "BE": ("9999",), "BR": ("99999-999", "99999999"),
    "CA": ("A9A 9A9", "A9A9A9"), "CH": ("9999",), "CN": ("999999",), "DE": ("99999",),
    "DK": ("9999",), "ES": ("99999",), "FI": ("99999",), "FR": ("99999",),
    "GB": ("A9 9AA", "A99 9AA", "AA9 9AA", "AA99 9AA", "A9A 9AA", "AA9A 9AA",
           "A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA"),
    "IN": ("999999", "999 999"), "IT": ("99999",), "JP": ("999-9999", "9999999"), "KR": ("99999",),
    "MX": ("99999",), "MY": ("99999",), "NL": ("9999 AA", "9999AA"), "NO": ("9999",),
    "PL": ("99-999",), "SE": ("999 99", "99999"), "SG": ("999999",), "TH": ("99999",),
    "TW": ("999", "99999", "999999", "999-99", "999-999"), "US": ("99999", "99999-9999"),
    "VN": ("99999", "999999"),
}  # fmt: skip

#: The parts of an address beside street and country.
_PARTS: dict[str, tuple[str, ...]] = {
    "CN": ("province", "city", "district"),
    "US": ("province", "city"), "CA": ("province", "city"), "AU": ("province", "city"),
    "BR": ("province", "city"), "IN": ("province", "city"), "MX": ("province", "city"),
    "JP": ("province", "city"),
    # Cities of their own, and places whose addresses are not written so.
    "HK": (), "MO": (), "SG": (), "MC": (), "VA": (), "GI": (),
}  # fmt: skip


def parts(country: str) -> tuple[str, ...]:
    """Return the parts that a complete address of a country has."""
    return _PARTS.get(country, ("city",))


def pattern(forms: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that postcodes of these forms fit wholly; letters may be small."""
    # One class or sign for each character: nothing to go back to.
    signs = {"9": "[0-9]", "A": "[A-Za-z]"}
    each = ("".join(signs.get(sign) or re.escape(sign) for sign in form) for form in forms)
    return re.compile("|".join(each), re.ASCII)
