"""Sealed fields open in their own place, row and ring only, and never look alike."""

import base64
import multiprocessing
import stat
from pathlib import Path

import pytest

from gateway.stores import sealing
from gateway.stores.sealing import KeyRing, Sealer, SealingError

RING = sealing.new_ring()
ROW, OTHER_ROW = b"r" * 16, b"s" * 16
PLACE = "orders.private"
PLAIN = b"13800138000"


def test_what_is_sealed_is_opened_in_its_place_and_row() -> None:
    sealer = Sealer(RING)
    envelope = sealer.seal(PLACE, ROW, PLAIN)
    assert sealer.open(PLACE, ROW, envelope) == PLAIN
    assert PLAIN not in envelope


@pytest.mark.parametrize("plain", [b"", b"\0", b"x" * 300_000])
def test_any_length_is_sealed(plain: bytes) -> None:
    sealer = Sealer(RING)
    assert sealer.open(PLACE, ROW, sealer.seal(PLACE, ROW, plain)) == plain


@pytest.mark.parametrize(
    ("place", "row"),
    [
        (PLACE, OTHER_ROW),
        ("orders.remark", ROW),
        ("parked.private", ROW),
        (PLACE, b""),
        (PLACE + "|", ROW[1:]),
    ],
)
def test_an_envelope_in_another_row_column_or_table_does_not_open(place: str, row: bytes) -> None:
    sealer = Sealer(RING)
    envelope = sealer.seal(PLACE, ROW, PLAIN)
    with pytest.raises(SealingError):
        sealer.open(place, row, envelope)


def test_a_change_of_any_byte_is_noticed() -> None:
    sealer = Sealer(RING)
    envelope = sealer.seal(PLACE, ROW, PLAIN)
    for at in range(len(envelope)):
        bent = bytearray(envelope)
        bent[at] ^= 1
        with pytest.raises(SealingError):
            sealer.open(PLACE, ROW, bytes(bent))


def test_what_is_cut_or_prolonged_does_not_open() -> None:
    sealer = Sealer(RING)
    envelope = sealer.seal(PLACE, ROW, PLAIN)
    for bent in (*[envelope[:n] for n in range(len(envelope))], envelope + b"\0"):
        with pytest.raises(SealingError):
            sealer.open(PLACE, ROW, bent)


def test_equal_texts_never_look_alike_and_no_nonce_comes_twice() -> None:
    sealer = Sealer(RING)
    envelopes = [sealer.seal(PLACE, ROW, PLAIN) for _ in range(1000)]
    assert len(set(envelopes)) == 1000
    heads = {envelope[: 1 + 2 + 16 + 4] for envelope in envelopes}
    assert len(heads) == 1000


def test_a_subkey_is_left_before_its_counter_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_SUBKEY_MESSAGES_MAX", 3)
    sealer = Sealer(RING)
    envelopes = [sealer.seal(PLACE, ROW, PLAIN) for _ in range(7)]
    assert len({envelope[:19] for envelope in envelopes}) == 3
    assert len({envelope[:23] for envelope in envelopes}) == 7
    assert {sealer.open(PLACE, ROW, envelope) for envelope in envelopes} == {PLAIN}


def test_more_subkeys_than_are_remembered_still_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_SUBKEYS_KEPT", 2)
    envelopes = [Sealer(RING).seal(PLACE, ROW, PLAIN) for _ in range(5)]
    reader = Sealer(RING)
    for envelope in [*envelopes, *envelopes]:
        assert reader.open(PLACE, ROW, envelope) == PLAIN


# --- rings ---


def test_after_a_rotation_old_envelopes_open_and_new_ones_carry_the_new_key() -> None:
    rotated = sealing.rotated(RING)
    old, new = Sealer(RING), Sealer(rotated)
    before, after = old.seal(PLACE, ROW, PLAIN), new.seal(PLACE, ROW, PLAIN)
    assert (before[1:3], after[1:3]) == (b"\0\x01", b"\0\x02")
    assert new.open(PLACE, ROW, before) == new.open(PLACE, ROW, after) == PLAIN
    with pytest.raises(SealingError, match="not in the ring"):
        old.open(PLACE, ROW, after)


def test_a_rotation_leaves_the_blind_index_as_it_was() -> None:
    """Otherwise no old order could be found by its phone any more."""
    rotated = Sealer(sealing.rotated(RING))
    assert rotated.phone_index("+8613800138000") == Sealer(RING).phone_index("+8613800138000")


def test_another_ring_opens_nothing() -> None:
    envelope = Sealer(RING).seal(PLACE, ROW, PLAIN)
    with pytest.raises(SealingError):
        Sealer(sealing.new_ring()).open(PLACE, ROW, envelope)


def _sealed_elsewhere(ring: KeyRing) -> list[bytes]:
    sealer = Sealer(ring)
    return [sealer.seal(PLACE, ROW, PLAIN) for _ in range(10)]


@pytest.mark.servers
def test_two_processes_seal_under_subkeys_of_their_own_and_open_each_others() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        sealed = processes.map(_sealed_elsewhere, [RING, RING])
    assert sealed[0][0][3:19] != sealed[1][0][3:19]
    reader = Sealer(RING)
    assert {reader.open(PLACE, ROW, each) for each in sealed[0] + sealed[1]} == {PLAIN}


def test_a_ring_is_written_for_the_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keyring.toml"
    ring = sealing.rotated(RING)
    sealing.write_ring(path, ring)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sealing.load_ring(path) == ring
    assert [each.name for each in path.parent.iterdir()] == ["keyring.toml"]


def test_a_draft_left_lying_about_does_not_open_the_ring_to_others(tmp_path: Path) -> None:
    path = tmp_path / "keyring.toml"
    draft = tmp_path / "keyring.toml.new"
    draft.touch()
    draft.chmod(0o644)
    sealing.write_ring(path, RING)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def written(*, active: object = 1, key: bytes = b"k" * 32, blind: bytes = b"b" * 32) -> str:
    keys = base64.b64encode(key).decode()
    index = base64.b64encode(blind).decode()
    return f'active = {active}\nblind_index = "{index}"\n[keys]\n1 = "{keys}"\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        written(active=2),
        written(active='"x"'),
        written(key=b"short"),
        written(blind=b""),
        written().replace("1 = ", "0 = "),
        written().replace("1 = ", "65536 = "),
        written().replace("1 = ", "one = "),
        written().replace('"\n[keys]', '!"\n[keys]'),
        "active = 1\nblind_index = 5\n[keys]\n",
        "active = 1\nkeys = 5\nblind_index = ''\n",
    ],
)
def test_an_invalid_ring_is_rejected_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keyring.toml"
    path.write_text(text)
    with pytest.raises(SealingError, match=r"keyring\.toml"):
        sealing.load_ring(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no `active`$"),
        (b"active = 1", "has no `keys`$"),
        (b"active = 1\n[keys]\n", "has no `blind_index`$"),
        (b"\xff", "cannot be read: its byte 0 is not UTF-8$"),
        (b"active = 1\nkeys = 5\nblind_index = ''", "ids, and every key is 32 bytes in base64$"),
        (written().replace("1 = ", "one = ").encode(), "are ids, and every key is 32 bytes"),
    ],
)
def test_what_an_invalid_ring_lacks_is_said_in_words(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "keyring.toml"
    path.write_bytes(content)
    with pytest.raises(SealingError, match=words):
        sealing.load_ring(path)


def test_a_ring_that_is_a_directory_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(SealingError) as refused:
        sealing.load_ring(tmp_path)
    assert str(refused.value) == f"the key ring {tmp_path} cannot be read: Is a directory"


def test_a_missing_ring_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="seal-init"):
        sealing.load_ring(tmp_path / "keyring.toml")


# --- the blind index ---


def test_equal_phones_have_equal_indexes_in_every_process_and_others_do_not() -> None:
    one, two = Sealer(RING), Sealer(RING)
    index = one.phone_index("+8613800138000")
    assert len(index) == 16
    assert two.phone_index("+8613800138000") == index
    assert one.phone_index("+8613800138001") != index
    assert one.phone_index("+8613800138000") == index


def test_without_its_key_an_index_tells_nothing() -> None:
    phone = "+8613800138000"
    other = KeyRing(active=RING.active, keys=RING.keys, blind_index=b"o" * 32)
    assert Sealer(other).phone_index(phone) != Sealer(RING).phone_index(phone)
