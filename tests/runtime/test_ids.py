"""UUIDv7: made in the process, sorted by when they were made, never twice."""

import pytest

from gateway.runtime import ids


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = ids.UUIDv7()()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")


def test_ids_carry_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    new_id = ids.UUIDv7()
    for milliseconds in (0, 1, 1_795_400_000_000, (1 << 48) - 1):
        monkeypatch.setattr("time.time_ns", lambda at=milliseconds: at * 1_000_000 + 9)
        assert new_id().int >> 80 == milliseconds


def test_ids_of_later_milliseconds_sort_after_earlier_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new_id, made = ids.UUIDv7(), []
    for milliseconds in range(1000):
        monkeypatch.setattr("time.time_ns", lambda at=milliseconds: at * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)


def test_no_id_comes_twice_across_refills_of_the_pool_and_makers() -> None:
    one, two = ids.UUIDv7(), ids.UUIDv7()
    made = [maker() for _ in range(20_000) for maker in (one, two)]
    assert len(set(made)) == 40_000


def test_every_random_bit_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the time, version and variant is both 0 and 1 among many ids of one instant."""
    monkeypatch.setattr("time.time_ns", lambda: 0)
    new_id = ids.UUIDv7()
    made = [new_id().int for _ in range(500)]
    fixed = (0xFFFF << 64) | (0x3 << 62)
    free = ((1 << 80) - 1) & ~fixed
    ever_set = ever_clear = 0
    for each in made:
        ever_set |= each
        ever_clear |= ~each
    assert ever_set & ever_clear & free == free


def test_ids_made_one_after_the_other_within_a_millisecond_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = 1_800_000_000_000 * 1_000_000
    new_id, made = ids.UUIDv7(), []
    for step in range(1000):
        monkeypatch.setattr("time.time_ns", lambda step=step: now_ns + 1000 * step)
        made.append(new_id())
    assert made == sorted(made)
    assert len(set(made)) == 1000
    assert {each.version for each in made} == {7}
