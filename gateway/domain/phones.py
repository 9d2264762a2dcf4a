"""Telephone numbers: read where they can be, found by one text each, shown masked.

No order is lost for its number: what cannot be read as one is kept as written, found as written,
and marked, so that somebody asks the buyer.
"""

from gateway.domain.plain_phones import has_pattern, plain


def normalised(phone: str, country: str) -> str:
    """Return the text that a number written for ``country`` is found by.

    ``+<calling code><national number>``, with ``;ext=<digits>`` for an extension. Of a number that
    a platform has hidden, and of what is no number: the text itself, without blanks, brackets,
    hyphens and dots. ``""`` where nothing is left.
    """
    found_by = plain(phone, country)
    if found_by is None:
        found_by = _read(phone, country) if phone else ""
    return found_by


def is_unclear(phone: str, country: str) -> bool:
    """Return whether somebody must ask the buyer: something was written, and it is no number."""
    if not phone or (has_pattern(country) and plain(phone, country) is not None):
        return False
    from gateway.domain import phone_reading

    return phone_reading.is_unclear(phone, country)


def spellings(phone: str, country: str) -> list[str]:
    """Return every text that an order with this number may be found by, however it was written.

    The patterns of plain numbers do not always know that two spellings are one number.
    """
    from gateway.domain import phone_reading

    return phone_reading.spellings(phone, country)


def masked(phone: str) -> str:
    """Show the first three and the last four characters of a number: ``138****8000``.

    Of a short one less is shown: four digits at least stay hidden. A text with letters in it may
    hold a name, and is not shown.
    """
    digits = sum(map(str.isdecimal, phone))
    if digits < 8 or any(map(str.isalpha, phone)):
        return "****"
    return f"{phone[:3] if digits > 10 else ''}****{phone[-4:]}"


def _read(phone: str, country: str) -> str:
    # The library takes 20 ms to load, and most processes never need it.
    from gateway.domain import phone_reading

    return phone_reading.read(phone, country).found_by
