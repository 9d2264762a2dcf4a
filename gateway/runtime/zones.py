"""Time zones by name, from the data of the machine."""

import functools
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Zones that are needed by default, for machines without data of time zones. China has one zone,
#: and no summer time since 1991.
_WITHOUT_DATA = {"Asia/Shanghai": timezone(timedelta(hours=8), "CST")}


@functools.cache
def zone(name: str) -> tzinfo:
    """Return a time zone. Raises ``ValueError`` with a sentence where the machine has none such."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        if name in _WITHOUT_DATA:
            return _WITHOUT_DATA[name]
        raise ValueError(
            f"{name!r} is no time zone of this machine: write it like Asia/Shanghai or "
            "Europe/Berlin, or install the machine's tzdata"
        ) from exc
