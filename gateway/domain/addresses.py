"""Where an order goes, changed by a person after it was placed.

What is private lives in the order's sealed part, in the sealed message that changed it, and in the
sealed log of the change. The event says only which fields changed.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.domain import countries, free_text, phones
from gateway.domain.errors import Fault

Reason = Annotated[
    str, Meta(min_length=1, max_length=256, description="For the order's history. Nothing private.")
]
_SEALED = ("name", "phone", "street", "postcode")
_PLACE = ("country", "province", "city", "district")


def _text(chars_max: int, *, means: str = "") -> Any:
    return Meta(min_length=1, max_length=chars_max, description=means or None)


class AddressChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of the recipient that change; those that are missing stay."""

    reason: Reason
    name: Annotated[str, _text(128)] | UnsetType = UNSET
    phone: Annotated[str, _text(64)] | UnsetType = UNSET
    country: (
        Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2.")]
        | UnsetType
    ) = UNSET
    province: Annotated[str, _text(64)] | UnsetType = UNSET
    city: Annotated[str, _text(64)] | UnsetType = UNSET
    district: Annotated[str, _text(64)] | UnsetType = UNSET
    street: Annotated[str, _text(512)] | UnsetType = UNSET
    postcode: Annotated[str, _text(16)] | UnsetType = UNSET

    def __repr__(self) -> str:
        """Show nothing of the address: a repr ends up in logs."""
        return "AddressChange()"

    def changes(self) -> dict[str, str]:
        """Return the new texts by field, tidied."""
        return {
            name: free_text.tidied(text)
            for name in (*_SEALED, *_PLACE)
            if isinstance(text := getattr(self, name), str)
        }


class Place(Struct, frozen=True):
    """The part of an address that is stored in clear."""

    country: str
    province: str
    city: str
    district: str


class AddressLog(Struct, frozen=True):
    """What an address was and is, of the fields that changed; sealed where it is stored."""

    before: dict[str, str | None]
    after: dict[str, str | None]


class Readdressed(Struct, frozen=True):
    """An order with another address: its private part, yet to be sealed, and what is found by.

    ``phone``: the text that the order is found by; empty for none.
    """

    place: Place
    private: bytes
    phone: str
    log: AddressLog

    def __repr__(self) -> str:
        """Show nothing of the address."""
        return "Readdressed()"


_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str | None).decode
_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(AddressChange).decode


def faults(change: AddressChange) -> list[Fault]:
    """Return what is wrong with a change beyond its shape."""
    found = []
    changes = change.changes()
    if not changes:
        found.append(Fault("body", "changes nothing: give at least one field of the address"))
    found += [
        Fault(name, "must not be blank") for name, text in changes.items() if not text.strip()
    ]
    if changes.get("country", "CN") not in countries.CODES:
        found.append(Fault("country", "is not a country of ISO 3166-1"))
    return found


def readdressed(change: AddressChange, *, place: Place, private: bytes) -> Readdressed:
    """Return an order with its changed address; all else of its private part stays byte for byte.

    Raises ``msgspec.MsgspecError`` where the private part is none of an order.
    """
    fields, changes = _decode_fields(private), change.changes()
    stored = {name: _decode_text(fields[name]) if name in fields else None for name in _SEALED}
    was: dict[str, str | None] = {**stored, **msgspec.structs.asdict(place)}
    now = was | changes
    for name in _SEALED:
        if name in changes:
            fields[name] = msgspec.Raw(_encode(changes[name]))
    moved = Place(**{name: now[name] or "" for name in _PLACE})
    log = AddressLog({name: was[name] or None for name in changes}, dict(changes))
    phone = phones.normalised(now["phone"] or "", moved.country) if now["phone"] else ""
    return Readdressed(moved, _encode(fields), phone, log)


def shown(log: AddressLog, *, in_clear: bool) -> AddressLog:
    """Return what may be shown of a change: private fields masked unless ``in_clear``."""
    if in_clear:
        return log
    return AddressLog(_masked(log.before), _masked(log.after))


def _masked(fields: dict[str, str | None]) -> dict[str, str | None]:
    return {name: text and masked(name, text) for name, text in fields.items()}


def masked(name: str, text: str) -> str:
    """Return a field of an address as it is shown to keys that may not see it in clear."""
    match name:
        case "phone":
            return phones.masked(text)
        case "name":
            # A name of one character is all initial: none of it is shown.
            return f"{text[:1] if len(text) > 1 else ''}**"
        case _:
            return "***" if name in _SEALED else text
