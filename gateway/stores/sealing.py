"""Sealing of private fields: AES-256-GCM with key ids, bound to table, column and row.

An envelope is ``version(1) | key id(2) | salt(16) | counter(4) | ciphertext | tag(16)``.
Each process draws a salt and derives its own subkey from the ring's key (HKDF-SHA256), so the
nonce can be a counter: no nonce ever repeats under one subkey, whatever the rate. Random
nonces under one key would reach the limit of 2^32 messages (NIST SP 800-38D, 8.3) within days.

The blind index has a key of its own: equal phones give equal indexes, and nothing more can be
learnt from one without that key.
"""

import base64
import hmac
import os
import tomllib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from gateway.runtime import file_faults

_VERSION = b"\x01"
_SALT_BYTES = 16
_HEAD_BYTES = 1 + 2 + _SALT_BYTES + 4
_TAG_BYTES = 16
#: Messages under one subkey before a new salt is drawn; the counter has 32 bits.
_SUBKEY_MESSAGES_MAX = 1 << 30
_SUBKEYS_KEPT = 1024


class SealingError(ValueError):
    """An envelope cannot be opened: another key ring, another row, or damaged bytes."""


class UnknownKey(SealingError):
    """An envelope of a key that is not in the ring. It may be in a newer one."""


class KeyRing(Struct, frozen=True):
    """Sealing keys by id (1..65535), the id that new envelopes use, and the blind index key."""

    active: int
    keys: Mapping[int, bytes]
    blind_index: bytes


def load_ring(path: Path) -> KeyRing:
    """Read a key ring file. Raises ``SealingError`` with what to do about it."""
    try:
        parsed = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise SealingError(
            f"there is no key ring at {path}: create one with `tidegate keys seal-init`, "
            "or set TIDEGATE_KEYRING_FILE to yours"
        ) from exc
    except (OSError, ValueError) as exc:
        raise SealingError(
            f"the key ring {path} cannot be read: {file_faults.reason(exc)}"
        ) from exc
    try:
        ring = KeyRing(
            active=int(parsed["active"]),
            keys={
                int(kid): base64.b64decode(key, validate=True)
                for kid, key in parsed["keys"].items()
            },
            blind_index=base64.b64decode(parsed["blind_index"], validate=True),
        )
    except KeyError as exc:
        raise SealingError(f"the key ring {path} has no `{exc.args[0]}`") from exc
    except (ValueError, TypeError, AttributeError) as exc:
        raise SealingError(
            f"the key ring {path}: `active` and the names in [keys] are ids, and every key is 32 "
            "bytes in base64"
        ) from exc
    if any(len(key) != 32 for key in (*ring.keys.values(), ring.blind_index)):
        raise SealingError(f"the key ring {path}: every key must be 32 bytes in base64")
    if ring.active not in ring.keys or not all(0 < kid < 1 << 16 for kid in ring.keys):
        raise SealingError(
            f"the key ring {path}: `active` must be one of the ids 1..65535 in [keys]"
        )
    return ring


def write_ring(path: Path, ring: KeyRing) -> None:
    """Write the ring for the owner's eyes only, atomically: a reader sees the old or the new."""
    lines = [
        "# Tidegate's sealing keys. Without them sealed fields cannot be read again: back this",
        "# file up, apart from the database. New envelopes use `active`; older keys stay to read.",
        f"active = {ring.active}",
        f'blind_index = "{base64.b64encode(ring.blind_index).decode()}"',
        "",
        "[keys]",
        *(f'{kid} = "{base64.b64encode(key).decode()}"' for kid, key in sorted(ring.keys.items())),
        "",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    # A draft that an earlier run left may be readable by others: a new file has this mode.
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def new_ring(key_id: int = 1) -> KeyRing:
    """Return a ring with one fresh key of this id."""
    return KeyRing(active=key_id, keys={key_id: os.urandom(32)}, blind_index=os.urandom(32))


def rotated(ring: KeyRing, *, above: int = 0) -> KeyRing:
    """Return the ring with a fresh key made active; old envelopes stay readable.

    Its id is the next one that neither the ring has nor is at most ``above``.
    """
    kid = max(above, *ring.keys) + 1
    return KeyRing(
        active=kid, keys={**ring.keys, kid: os.urandom(32)}, blind_index=ring.blind_index
    )


def key_id(envelope: bytes) -> int | None:
    """Return the id of the key that an envelope names; None where it is none."""
    if len(envelope) < _HEAD_BYTES + _TAG_BYTES or envelope[:1] != _VERSION:
        return None
    return int.from_bytes(envelope[1:3], "big")


class Sealer:
    """Seals and opens fields under a key ring. One per process; not shared across a fork."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._opened: OrderedDict[bytes, AESGCM] = OrderedDict()
        self._blind = hmac.new(ring.blind_index, digestmod="sha256")
        self._draw_subkey()

    def _draw_subkey(self) -> None:
        salt = os.urandom(_SALT_BYTES)
        head = _VERSION + self._ring.active.to_bytes(2, "big") + salt
        self._head = head
        self._encrypt = self._subkey(head).encrypt
        self._counter = 0

    def _subkey(self, head: bytes) -> AESGCM:
        if head[:1] != _VERSION:
            raise SealingError("not an envelope of this version")
        key_id = int.from_bytes(head[1:3], "big")
        key = self._ring.keys.get(key_id)
        if key is None:
            raise UnknownKey(f"sealed with key {key_id}, which is not in the ring")
        kdf = HKDF(algorithm=SHA256(), length=32, salt=head[3:], info=b"tidegate/seal/1")
        return AESGCM(kdf.derive(key))

    def seal(self, place: str, row: bytes, plain: bytes) -> bytes:
        """Return the envelope of ``plain`` for ``place`` (``table.column``) in ``row``."""
        counter = self._counter
        if counter >= _SUBKEY_MESSAGES_MAX:
            self._draw_subkey()
            counter = 0
        self._counter = counter + 1
        head = self._head + counter.to_bytes(4, "big")
        nonce = counter.to_bytes(12, "big")
        return head + self._encrypt(nonce, plain, place.encode() + b"|" + row)

    def open(self, place: str, row: bytes, envelope: bytes) -> bytes:
        """Return the plain bytes. Raises ``SealingError`` unless place and row are the same."""
        if len(envelope) < _HEAD_BYTES + _TAG_BYTES:
            raise SealingError("too short to be an envelope")
        head = bytes(envelope[: _HEAD_BYTES - 4])
        subkey = self._opened.get(head)
        if subkey is None:
            subkey = self._opened[head] = self._subkey(head)
            if len(self._opened) > _SUBKEYS_KEPT:
                self._opened.popitem(last=False)
        nonce = bytes(8) + bytes(envelope[_HEAD_BYTES - 4 : _HEAD_BYTES])
        try:
            return subkey.decrypt(nonce, bytes(envelope[_HEAD_BYTES:]), place.encode() + b"|" + row)
        except InvalidTag as exc:
            raise SealingError("damaged, or sealed for another row or with another key") from exc

    def phone_index(self, phone: str) -> bytes:
        """Return the 16-byte blind index of a normalised phone number."""
        mac = self._blind.copy()
        mac.update(b"phone|" + phone.encode())
        return mac.digest()[:16]
