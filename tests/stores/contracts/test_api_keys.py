"""The look-up of an API key: live keys are found by their digest, all others are None."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Unavailable
from gateway.stores.postgres.api_keys import ApiKeys, digest
from tests.support.fakes.api_keys import FakeApiKeys

from .conftest import RealLedger
from .support import retried


class Keys(Protocol):
    async def find(self, token_digest: bytes) -> Principal | None: ...


class Subject(Protocol):
    @property
    def keys(self) -> Keys: ...

    async def create(self, name: str, roles: Sequence[Role], channels: Sequence[str]) -> str:
        """Return the token of a new key."""
        ...

    async def revoke(self, token: str) -> None:
        """End a key."""

    def away(self) -> AbstractContextManager[None]:
        """Lend a time in which the ledger does not answer."""
        ...


@dataclass
class Fake:
    keys: FakeApiKeys

    async def create(self, name: str, roles: Sequence[Role], channels: Sequence[str]) -> str:
        token = f"tg_{len(self.keys.known)}"
        self.keys.put(token, Principal(token, name, frozenset(roles), frozenset(channels)))
        return token

    async def revoke(self, token: str) -> None:
        del self.keys.known[digest(token)]

    @contextmanager
    def away(self) -> Iterator[None]:
        self.keys.is_away = True
        yield
        self.keys.is_away = False


@dataclass
class Real:
    keys: ApiKeys
    real: RealLedger
    ids: dict[str, str] = field(default_factory=dict)

    async def create(self, name: str, roles: Sequence[Role], channels: Sequence[str]) -> str:
        key, token = await self.keys.create(name, roles, channels, actor="ann")
        self.ids[token] = key.id
        return token

    async def revoke(self, token: str) -> None:
        assert await self.keys.revoke(self.ids[token], actor="ann")

    def away(self) -> AbstractContextManager[None]:
        return self.real.away()


@pytest.fixture
def subject(ledger_or_none: RealLedger | None) -> Subject:
    if ledger_or_none is None:
        return Fake(FakeApiKeys())
    return Real(ApiKeys(pool=ledger_or_none.gateway.stores.primary), ledger_or_none)


async def test_a_key_is_found_by_its_digest(subject: Subject) -> None:
    one = await subject.create("shop", ["ingest", "query"], ["web", "app"])
    other = await subject.create("all", ["query"], [])
    found = await subject.keys.find(digest(one))
    also = await subject.keys.find(digest(other))
    assert found is not None
    assert also is not None
    assert found == Principal(
        found.key_id, "shop", frozenset({"ingest", "query"}), frozenset({"web", "app"})
    )
    assert also == Principal(also.key_id, "all", frozenset({"query"}), frozenset())
    assert found.key_id != also.key_id


async def test_no_other_digest_finds_it(subject: Subject) -> None:
    token = await subject.create("shop", ["ingest"], [])
    for wrong in (digest(f"{token}x"), token.encode(), b"", b"\x00" * 32):
        assert await subject.keys.find(wrong) is None


async def test_a_revoked_key_is_not_found(subject: Subject) -> None:
    one, other = [await subject.create("shop", ["ingest"], []) for _ in range(2)]
    await subject.revoke(one)
    assert await subject.keys.find(digest(one)) is None
    assert await subject.keys.find(digest(other)) is not None


async def test_a_ledger_that_is_away_is_unavailable_and_says_nothing_of_a_key(
    subject: Subject,
) -> None:
    token = await subject.create("shop", ["ingest"], [])
    with subject.away(), pytest.raises(Unavailable):
        await subject.keys.find(digest(token))
    assert await retried(lambda: subject.keys.find(digest(token))) is not None
