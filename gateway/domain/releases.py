"""The release of a held order: a person looked at it, and says why it may go on."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the hold that the order was placed with ends."""

    reason: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            description="For the order's history. Nothing private.",
        ),
    ]


_DECODER = msgspec.json.Decoder(Release)


def decode(body: bytes) -> Release:
    """Decode a JSON release. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return _DECODER.decode(body)
