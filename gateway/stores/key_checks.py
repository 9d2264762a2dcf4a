"""Whether a key ring is the one that a database is sealed with, by check values.

The check value of a key is derived from it (HKDF-SHA256) under a label of its own. It tells
whether two keys are the same, and nothing else of either. Pure: what is known of a database is
passed in, and ``gateway.stores.postgres.key_ring`` reads and records it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from gateway.stores.sealing import KeyRing

Kind = Literal["seal", "blind_index"]

_CHECK_BYTES = 16
_RUNBOOK = "ops/runbooks/keys.md"


class KeyName(NamedTuple):
    """What a database knows a key by."""

    kind: Kind
    key_id: int

    def __str__(self) -> str:
        """Return it as operators read it."""
        return f"key {self.key_id}" if self.kind == "seal" else "the blind index key"


class KnownKey(Struct, frozen=True):
    """A row of ``sealing_keys``.

    ``in_use_since``: when the first process started that seals with it; None: none did.
    ``retired_at``: from when on a key ring may be without it.
    """

    kind: Kind
    key_id: int
    check_value: bytes
    first_seen_at: datetime
    in_use_since: datetime | None
    retired_at: datetime | None


class Verdict(Struct, frozen=True):
    """What a comparison found. All empty: the ring is this database's, and all of it is known.

    ``foreign``: keys of the ring that the database knows otherwise; ``retired``: keys that the
    ring still seals or indexes with; ``missing``: keys in use that the ring lacks. ``unknown``:
    keys of the ring that the database does not know yet. ``is_unmarked``: the key that the ring
    seals with is not known to be in use.
    """

    foreign: Sequence[KnownKey] = ()
    retired: Sequence[KnownKey] = ()
    missing: Sequence[KnownKey] = ()
    unknown: Sequence[KeyName] = ()
    is_unmarked: bool = False


def check_value(name: KeyName, key: bytes) -> bytes:
    """Return the check value of a key. That of a blind index key does not depend on its id."""
    label = f"seal|{name.key_id}" if name.kind == "seal" else "blind_index"
    kdf = HKDF(
        algorithm=SHA256(),
        length=_CHECK_BYTES,
        salt=None,
        info=b"tidegate/check/1|" + label.encode(),
    )
    return kdf.derive(key)


def compare(ring: KeyRing, known: Iterable[KnownKey]) -> Verdict:
    """Compare a key ring with what a database knows of its keys."""
    rows = {KeyName(row.kind, row.key_id): row for row in known}
    foreign: list[KnownKey] = []
    retired: list[KnownKey] = []
    unknown: list[KeyName] = []
    for key_id, key in sorted(ring.keys.items()):
        name = KeyName("seal", key_id)
        row = rows.get(name)
        if row is None:
            unknown.append(name)
        # Empty where a key was retired that was never recorded.
        elif row.check_value and row.check_value != check_value(name, key):
            foreign.append(row)
        elif row.retired_at is not None and key_id == ring.active:
            retired.append(row)
    _compare_blind_index(ring, rows, foreign=foreign, retired=retired, unknown=unknown)
    active = rows.get(KeyName("seal", ring.active))
    return Verdict(
        foreign=foreign,
        retired=retired,
        missing=[
            row
            for name, row in sorted(rows.items())
            if name.kind == "seal"
            and name.key_id not in ring.keys
            and row.in_use_since is not None
            and row.retired_at is None
        ],
        unknown=unknown,
        is_unmarked=active is not None and active.in_use_since is None,
    )


def _compare_blind_index(
    ring: KeyRing,
    rows: Mapping[KeyName, KnownKey],
    *,
    foreign: list[KnownKey],
    retired: list[KnownKey],
    unknown: list[KeyName],
) -> None:
    every = [row for name, row in sorted(rows.items()) if name.kind == "blind_index"]
    name = KeyName("blind_index", len(every) + 1)
    ours = check_value(name, ring.blind_index)
    live = [row for row in every if row.retired_at is None]
    if live:
        foreign += [row for row in live if row.check_value != ours]
    elif any(row.check_value == ours for row in every):
        retired += [row for row in every if row.check_value == ours]
    else:
        unknown.append(name)


def refusal(path: str, verdict: Verdict, uses: Mapping[int, str]) -> str:
    """Say why a ring may not be used and what to do; empty where it may.

    ``uses``: what each missing key sealed, by its id.
    """
    ring = f"the key ring {path}"
    if verdict.foreign:
        names = _listed(verdict.foreign)
        since = min(row.first_seen_at for row in verdict.foreign)
        are = "is another key" if len(verdict.foreign) == 1 else "are other keys"
        return (
            f"{ring} does not belong to this database: its {names} {are} than the database's, "
            f"known since {since:%Y-%m-%d}. What either seals the other cannot open. Use the ring "
            f"of the other gateways or its backup, or correct database_url; {_RUNBOOK} says what "
            "to do when it is lost"
        )
    if verdict.missing:
        names = _listed(verdict.missing)
        sealed = "; ".join(
            f"{row.key_id} sealed {uses.get(row.key_id, 'rows that were not counted')}"
            for row in verdict.missing
        )
        return (
            f"{ring} lacks {names}, in use in this database ({sealed}). Use the ring of the other "
            f"gateways or its newest backup; {_RUNBOOK} says what to do when the key is lost"
        )
    if verdict.retired:
        return (
            f"{ring} still uses {_listed(verdict.retired)}, which was retired in this database. "
            f"Use the ring of the other gateways, or see {_RUNBOOK}"
        )
    return ""


def _listed(rows: Sequence[KnownKey]) -> str:
    names = [str(KeyName(row.kind, row.key_id)).removeprefix("the ") for row in rows]
    return " and ".join(names)
