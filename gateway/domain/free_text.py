"""Free text as it is stored: a control character becomes a blank, and costs nobody an order.

Tabs and ends of lines stay. What identifies (``sku``, ``buyer_id``, ``order_no``) is no free text.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain import orders

_Blanks = Mapping[int, str]

#: C0 and C1 without tab and ends of lines, DEL, line and paragraph separators.
_CONTROLS: _Blanks = dict.fromkeys(
    [
        *(code for code in range(0x20) if chr(code) not in "\t\n\r"),
        *range(0x7F, 0xA0),
        0x2028,
        0x2029,
    ],
    " ",
)
#: And what turns the direction of text: with that an address shows what it does not say. Around a
#: telephone number it is harmless, and usual where one was copied: a phone stays as it was written.
_BLANKS: _Blanks = {
    **_CONTROLS,
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], " "),
}
_ORDER = ("remark", "platform_state")
_RECIPIENT = ("name", "street", "province", "city", "district", "postcode", "id_number")


def has_control(text: str) -> bool:
    """Return whether a text has a character that does not stay as it is."""
    return _has(text, _BLANKS)


def tidied(text: str) -> str:
    """Return a text with a blank for each control character."""
    return text.translate(_BLANKS) if has_control(text) else text


def tidied_order(order: orders.Submission, *, with_ids: bool) -> orders.Submission:
    """Return an order whose free text is tidied; ``with_ids``: its SKUs and buyer are as well."""
    replace = msgspec.structs.replace
    changes = _changes(order, [*_ORDER, "buyer_id"] if with_ids else _ORDER)
    to = order.to
    of_recipient = _changes(to, _RECIPIENT) | _changes(to, ["phone"], _CONTROLS)
    if of_recipient:
        changes["recipient"] = replace(to, **of_recipient)
    of_item = ("name", "sku") if with_ids else ("name",)
    items = [(item, _changes(item, of_item)) for item in order.items]
    if any(changed for _, changed in items):
        changes["items"] = [replace(item, **changed) for item, changed in items]
    return replace(order, **changes) if changes else order


def _changes(
    part: msgspec.Struct, names: Sequence[str], blanks: _Blanks = _BLANKS
) -> dict[str, object]:
    """Return the tidied texts among these fields, by name; without those that stay."""
    texts: Mapping[str, str | None] = {name: getattr(part, name) for name in names}
    return {
        name: text.translate(blanks) for name, text in texts.items() if text and _has(text, blanks)
    }


def _has(text: str, blanks: _Blanks) -> bool:
    # Nearly all text is printable, and found so in C.
    return not text.isprintable() and any(ord(character) in blanks for character in text)
