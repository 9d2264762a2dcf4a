"""Exact money: a ``Decimal`` in major units of an ISO 4217 currency, never a float."""

from decimal import Decimal

ZERO = Decimal(0)

#: Largest amount of one order or payment, exclusive, in major units; fits ``numeric(18,4)``.
AMOUNT_LIMIT = Decimal(10) ** 12
#: Zeros may follow the decimals of the currency, so far: ``numeric`` rejects 16,384 of them.
WRITTEN_DECIMALS_MAX = 18

_NO_DECIMALS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THREE_DECIMALS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_TWO_DECIMALS = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN
    BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL
    MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK
    PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB
    TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG""".split()
)

#: Digits after the decimal point, by currency: ISO 4217 as published on 2026-01-01, without units
#: of account and metals, in which nobody pays. ``tests/domain/test_money.py`` compares.
DECIMALS: dict[str, int] = {
    **dict.fromkeys(_NO_DECIMALS, 0),
    **dict.fromkeys(_TWO_DECIMALS, 2),
    **dict.fromkeys(_THREE_DECIMALS, 3),
}

#: The smallest amount of a currency: ``0.01``, ``1``, ``0.001``.
UNITS: dict[str, Decimal] = {
    currency: Decimal(1).scaleb(-decimals) for currency, decimals in DECIMALS.items()
}


def is_exact(amount: Decimal, unit: Decimal) -> bool:
    """Return whether ``amount`` is money in whole units. ``fault`` gives the reason why not."""
    if not amount.is_finite() or not ZERO <= amount < AMOUNT_LIMIT:
        return False
    rest = amount % unit
    # A rest of zero is as fine as the amount was written: its exponent is the longer of the two.
    return not rest and -rest.adjusted() <= WRITTEN_DECIMALS_MAX


def fault(amount: Decimal, decimals: int) -> str | None:
    """Return why ``amount`` is not money with so many decimals, or None if it is.

    The exponent is checked before any arithmetic, so that ``1E+999999999`` costs nothing.
    """
    if not amount.is_finite():
        return "must be a finite number"
    if amount.is_signed() and amount:
        return "must not be negative"
    if amount.adjusted() >= 12 and amount:
        return "must be below 1000000000000"
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= decimals:
        return None
    if -exponent > WRITTEN_DECIMALS_MAX or amount != round(amount, decimals):
        return f"must have at most {decimals} decimals"
    return None


def from_minor(minor: int, currency: str) -> Decimal:
    """Turn an integer in the smallest unit (fen, cent, yen) into major units.

    Raises KeyError for a currency that ISO 4217 does not list.
    """
    return Decimal(minor).scaleb(-DECIMALS[currency])


def text(amount: Decimal, currency: str) -> str:
    """Write the amount with exactly the decimals of its currency: ``"10.00"``, ``"980"``."""
    return f"{amount:.{DECIMALS.get(currency, 2)}f}"


def named(amount: Decimal, currency: str) -> str:
    """Write an amount for people, with its currency and all its digits: ``10.00 CNY``."""
    exponent = amount.normalize().as_tuple().exponent
    needed = -exponent if isinstance(exponent, int) else 0
    return f"{amount:.{max(needed, DECIMALS.get(currency, 2))}f} {currency}"
