"""A key ring is compared with what a database knows of its keys, by values that reveal no key."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.stores import key_checks, sealing
from gateway.stores.key_checks import KeyName, KnownKey, Verdict
from gateway.stores.sealing import KeyRing

AT = datetime(2026, 11, 30, tzinfo=UTC)
RING = sealing.new_ring()
OTHER = sealing.new_ring()
BLIND_INDEX = KeyName("blind_index", 1)


def known(ring: KeyRing = RING, **changes: Any) -> list[KnownKey]:
    """Return what a database knows once a process with this ring has started."""
    keys = [(KeyName("seal", key_id), key) for key_id, key in ring.keys.items()]
    return [
        msgspec.structs.replace(
            KnownKey(
                *name, key_checks.check_value(name, key), AT, in_use_since=AT, retired_at=None
            ),
            **(changes if name.kind == "seal" else {}),
        )
        for name, key in [*keys, (BLIND_INDEX, ring.blind_index)]
    ]


def names(rows: Any) -> list[str]:
    return [str(KeyName(row.kind, row.key_id)) for row in rows]


def test_the_ring_of_the_database_has_nothing_against_it() -> None:
    assert key_checks.compare(RING, known()) == Verdict([], [], [], [], False)
    assert key_checks.refusal("ring.toml", Verdict(), {}) == ""


def test_an_empty_database_knows_none_of_the_keys() -> None:
    assert key_checks.compare(RING, []).unknown == [KeyName("seal", 1), BLIND_INDEX]


def test_other_keys_of_the_same_ids_are_foreign() -> None:
    verdict = key_checks.compare(OTHER, known())
    assert names(verdict.foreign) == ["key 1", "the blind index key"]
    sentence = key_checks.refusal("ring.toml", verdict, {})
    assert "ring.toml does not belong to this database" in sentence
    assert "key 1 and blind index key are other keys" in sentence


def test_one_foreign_key_is_enough() -> None:
    mixed = KeyRing(active=1, keys=RING.keys, blind_index=OTHER.blind_index)
    assert names(key_checks.compare(mixed, known()).foreign) == ["the blind index key"]
    mixed = KeyRing(active=1, keys=OTHER.keys, blind_index=RING.blind_index)
    assert names(key_checks.compare(mixed, known()).foreign) == ["key 1"]


def test_a_key_in_use_may_not_be_missing() -> None:
    verdict = key_checks.compare(RING, known(sealing.rotated(RING)))
    assert names(verdict.missing) == ["key 2"]
    sentence = key_checks.refusal("ring.toml", verdict, {2: "7 rows of orders"})
    assert "lacks key 2" in sentence
    assert "7 rows of orders" in sentence


@pytest.mark.parametrize("change", [{"in_use_since": None}, {"retired_at": AT}])
def test_a_key_that_seals_nothing_yet_or_is_retired_may_be_missing(change: Any) -> None:
    rows = [*known(), *known(sealing.rotated(RING), **change)[1:2]]
    assert key_checks.compare(RING, rows) == Verdict([], [], [], [], False)


def test_a_retired_key_may_be_in_the_ring_and_may_not_seal() -> None:
    rotated = sealing.rotated(RING)
    rows = [*known(RING, retired_at=AT)[:1], *known(rotated)[1:]]
    assert key_checks.compare(rotated, rows) == Verdict([], [], [], [], False)
    back = KeyRing(active=1, keys=rotated.keys, blind_index=rotated.blind_index)
    assert names(key_checks.compare(back, rows).retired) == ["key 1"]


def test_an_id_is_never_used_for_another_key() -> None:
    verdict = key_checks.compare(OTHER, known(retired_at=AT)[:1])
    assert names(verdict.foreign) == ["key 1"]


def test_after_a_retired_blind_index_key_another_one_is_taken_and_not_the_same_again() -> None:
    retired = msgspec.structs.replace(known()[-1], retired_at=AT)
    rows = [*known()[:-1], retired]
    after = KeyRing(active=1, keys=RING.keys, blind_index=OTHER.blind_index)
    assert key_checks.compare(after, rows).unknown == [KeyName("blind_index", 2)]
    assert names(key_checks.compare(RING, rows).retired) == ["the blind index key"]


def test_a_key_that_is_not_yet_marked_as_in_use_is_noticed() -> None:
    rotated = sealing.rotated(RING)
    rows = [*known(), *known(rotated, in_use_since=None)[1:2]]
    assert key_checks.compare(rotated, rows).is_unmarked


def test_a_check_value_is_stored_for_good_and_so_never_changes() -> None:
    values = [
        key_checks.check_value(KeyName("seal", 1), bytes(32)).hex(),
        key_checks.check_value(KeyName("seal", 2), bytes(32)).hex(),
        key_checks.check_value(KeyName("blind_index", 1), bytes(32)).hex(),
    ]
    # HKDF-SHA256 (RFC 5869) without a salt, computed with hmac and hashlib.
    assert values == [
        "3b69eb40f41a38e538452e848686d3e1",
        "676774423d48da40bc8b6fbedf85ff4d",
        "74981500e0fef658c8a915603b26fd25",
    ]


def test_a_check_value_is_no_part_of_what_seals_or_indexes() -> None:
    key = RING.keys[1]
    value = key_checks.check_value(KeyName("seal", 1), key)
    assert value not in key
    assert value != sealing.Sealer(RING).phone_index("")
    assert key_checks.check_value(BLIND_INDEX, key) != value
