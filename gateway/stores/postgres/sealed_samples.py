"""What is sealed in a database already, opened with a key ring before its keys are recorded.

A database that was filled before there were check values has nothing else to tell a wrong ring by.
Of each key one row that opens is proof; one that does not may be damaged, and proves nothing alone.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from gateway.domain import phones
from gateway.domain.orders import Private
from gateway.stores import sealing
from gateway.stores.key_checks import KeyName, KnownKey
from gateway.stores.postgres.read_limiter import Connection
from gateway.stores.postgres.statements import sql
from gateway.stores.sealing import KeyRing, Sealer, SealingError

_log = logging.getLogger(__name__)

#: Seconds to look for rows of keys that are not among the newest and oldest.
_SEARCH_S = 5.0
#: Ids that are searched for: of rings that were rotated more often, the newest.
_SEARCHED_MAX = 50

_decode_private = msgspec.json.Decoder(Private).decode


class Findings(Struct):
    """``reasons``: why the ring does not fit; none: it does. ``in_use``: keys that sealed rows."""

    reasons: list[str]
    in_use: set[int]


class _Sample(Struct, frozen=True):
    """The sealed column of a row, and of orders what the blind index key makes of them."""

    place: str
    id: UUID
    envelope: bytes
    country: str | None
    phone_index: bytes | None


async def examine(
    connection: Connection,
    ring: KeyRing,
    sealer: Sealer,
    unknown: Sequence[KeyName],
    *,
    known: Sequence[KnownKey],
) -> Findings:
    """Open what the unknown keys of a ring sealed, in the caller's transaction.

    Where no key was in force before, keys that the ring lacks are looked for as well.
    """
    samples = [_Sample(*row) for row in await connection.fetch(sql("sample_sealed"))]
    by_key = _by_key(samples)
    asked = {name.key_id for name in unknown if name.kind == "seal"}
    retired = {row.key_id for row in known if row.kind == "seal"}
    is_first = all(row.retired_at is not None for row in known)
    unsettled: set[int] = set()
    if is_first:
        unsettled = await _search(connection, _candidates(ring, by_key), by_key)
    findings = Findings([], (unsettled | set(by_key)) & set(ring.keys))
    for key_id, rows in sorted(by_key.items()):
        if key_id in asked and not any(_opens(sealer, row) for row in rows):
            findings.reasons.append(f"its key {key_id} opens nothing that key {key_id} sealed")
        elif is_first and key_id not in ring.keys and key_id not in retired:
            findings.reasons.append(f"it lacks key {key_id}, which sealed rows of it")
    if any(name.kind == "blind_index" for name in unknown) and not _is_indexed(sealer, samples):
        findings.reasons.append("its blind index key is not the one that indexed the phones of it")
    return findings


def _by_key(samples: Iterable[_Sample]) -> dict[int, list[_Sample]]:
    found: dict[int, list[_Sample]] = defaultdict(list)
    for sample in samples:
        key_id = sealing.key_id(sample.envelope)
        if key_id is not None:
            found[key_id].append(sample)
    return found


def _candidates(ring: KeyRing, by_key: Mapping[int, object]) -> list[int]:
    """Return ids that no sample has and that may have sealed rows: those of the ring, and gaps."""
    highest = max([*ring.keys, *by_key])
    ids = [key_id for key_id in range(1, highest + 1) if key_id not in by_key]
    return sorted(ids, key=lambda key_id: key_id in ring.keys, reverse=True)[:_SEARCHED_MAX]


async def _search(
    connection: Connection, ids: Sequence[int], by_key: dict[int, list[_Sample]]
) -> set[int]:
    """Add the newest rows of these keys; return the ids of those that time did not allow."""
    unsettled: set[int] = set()
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _SEARCH_S
    for key_id in ids:
        left_ms = int((until_s - loop.time()) * 1000)
        try:
            if left_ms <= 0:
                raise TimeoutError
            async with connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = {left_ms}")
                rows = await connection.fetch(sql("newest_sealed_with"), key_id.to_bytes(2, "big"))
        except (TimeoutError, asyncpg.QueryCanceledError):
            unsettled.add(key_id)
            continue
        if rows:
            by_key[key_id] = [_Sample(*row) for row in rows]
    if unsettled:
        _log.warning(
            "rows of some sealing keys were not found in time: the keys are taken as they are",
            extra={"keys": sorted(unsettled)},
        )
    return unsettled


def _opens(sealer: Sealer, sample: _Sample) -> bool:
    try:
        sealer.open(sample.place, sample.id.bytes, sample.envelope)
    except SealingError:
        return False
    return True


def _is_indexed(sealer: Sealer, samples: Iterable[_Sample]) -> bool:
    """Return whether a phone among these has the index that the ring gives it; or none tells."""
    is_told = False
    for sample in samples:
        if sample.phone_index is None or not _opens(sealer, sample):
            continue
        try:
            private = _decode_private(sealer.open(sample.place, sample.id.bytes, sample.envelope))
        except msgspec.MsgspecError:
            continue
        phone, country = private.phone, sample.country or ""
        if not phones.normalised(phone, country):
            continue  # indexed by its buyer, who is not here: it tells nothing
        index = bytes(sample.phone_index)
        if any(sealer.phone_index(text) == index for text in _found_by(phone, country)):
            return True
        is_told = True
    return not is_told


def _found_by(phone: str, country: str) -> Iterator[str]:
    """Yield what this release indexes a phone by, and what older ones did."""
    yield phones.normalised(phone, country)
    # Of what was not plain, nothing; other spellings are asked for where nothing else fits.
    yield ""
    yield from phones.spellings(phone, country)
