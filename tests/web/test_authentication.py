"""Authentication: how long a look-up is valid, what guessed keys cost, what an outage changes."""

import asyncio
from hashlib import sha256

import pytest

from gateway.domain.access import Principal
from gateway.domain.errors import Unavailable
from gateway.overload.rate_limit import RateLimits
from gateway.stores.postgres.api_keys import ApiKeys
from gateway.web.authentication import Authenticator
from gateway.web.problems import Answered
from tests.support.fakes.api_keys import FakeApiKeys
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web.support import Wire, order_bytes

TTL_S = 2.0
#: How long an outage may last until a key that was in use stops working.
STALE_S = 3600.0
#: How long before the outage a key must have been looked up at the latest.
IDLE_S = 300.0
#: How long no key is looked up after a look-up failed.
PAUSE_S = 1.0


def add(keys: FakeApiKeys, token: str) -> str:
    """Store a key; return the header that carries it."""
    keys.put(token, Principal("k1", "shop", frozenset({"ingest"}), frozenset()))
    return f"Bearer {token}"


@pytest.fixture
def keys() -> FakeApiKeys:
    return FakeApiKeys()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def authenticator(keys: FakeApiKeys, clock: ManualClock) -> Authenticator:
    return Authenticator(
        keys=keys, rate_limits=RateLimits(rate=0.0, burst=1), clock=clock, ttl_s=TTL_S
    )


async def _status(authenticator: Authenticator, authorization: str) -> int:
    """Authenticate: 200, or the status of the error."""
    try:
        await authenticator.authenticate(authorization, "ingest")
    except Answered as exc:
        return exc.response.status
    except Unavailable:
        return 503
    return 200


async def test_a_key_is_looked_up_once_within_its_ttl(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    good = add(keys, "tg_good")
    for _ in range(50):
        assert await _status(authenticator, good) == 200
    assert keys.look_ups == 1
    clock.at_s = TTL_S
    assert await _status(authenticator, good) == 200
    assert keys.look_ups == 2


async def test_a_revoked_key_stops_working_after_the_ttl(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    good = add(keys, "tg_good")
    assert await _status(authenticator, good) == 200
    keys.known.clear()
    clock.at_s = TTL_S - 0.01
    assert await _status(authenticator, good) == 200
    clock.at_s = TTL_S
    assert await _status(authenticator, good) == 401


async def test_an_unknown_key_costs_one_look_up_per_ttl(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    for _ in range(50):
        assert await _status(authenticator, "Bearer tg_guess") == 401
    assert keys.look_ups == 1
    clock.at_s = TTL_S
    assert await _status(authenticator, "Bearer tg_guess") == 401
    assert keys.look_ups == 2


async def test_what_cannot_be_a_key_is_not_looked_up(
    authenticator: Authenticator, keys: FakeApiKeys
) -> None:
    for nonsense in ("", "Bearer", "Bearer x", "Basic tg_x", "tg_x", "Bearer tg_" + "x" * 200):
        assert await _status(authenticator, nonsense) == 401
    assert keys.look_ups == 0


async def test_concurrent_requests_of_one_key_share_a_look_up(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    good = add(keys, "tg_good")
    for due in (1, 2):
        assert set(await asyncio.gather(*[_status(authenticator, good) for _ in range(100)])) == {
            200
        }
        assert keys.look_ups == due
        clock.at_s += TTL_S


async def test_guessed_keys_are_looked_up_two_at_once(
    authenticator: Authenticator, keys: FakeApiKeys
) -> None:
    guesses = [_status(authenticator, f"Bearer tg_{n}") for n in range(200)]
    assert set(await asyncio.gather(*guesses)) == {401}
    assert keys.at_once_max <= 2


async def test_guessed_keys_do_not_delay_a_valid_key(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    good = add(keys, "tg_good")
    assert await _status(authenticator, good) == 200
    clock.at_s = TTL_S
    guesses = [asyncio.create_task(_status(authenticator, f"Bearer tg_{n}")) for n in range(500)]
    for _ in range(4):
        await asyncio.sleep(0)
    before = keys.look_ups
    assert await _status(authenticator, good) == 200
    assert keys.look_ups - before < 20
    await asyncio.gather(*guesses)


async def test_keys_that_were_in_use_work_for_a_while_in_an_outage(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    good, never_seen = add(keys, "tg_good"), add(keys, "tg_new")
    assert await _status(authenticator, good) == 200
    assert await _status(authenticator, "Bearer tg_guess") == 401
    keys.is_away = True
    clock.at_s = TTL_S + 1
    assert await _status(authenticator, good) == 200
    assert await _status(authenticator, never_seen) == 503
    assert await _status(authenticator, "Bearer tg_guess") == 401
    # Their use does not extend the time.
    began_s = TTL_S + 1
    clock.at_s = began_s + STALE_S - PAUSE_S
    assert await _status(authenticator, good) == 200
    clock.at_s = began_s + STALE_S
    assert await _status(authenticator, good) == 503
    assert await _status(authenticator, "Bearer tg_guess") == 503
    keys.is_away = False
    clock.at_s += PAUSE_S
    assert await _status(authenticator, good) == 200


async def test_a_key_revoked_before_the_outage_stays_rejected(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    """Whether the revocation was noticed, or the key was idle for too long to know."""
    idle, noticed, active = add(keys, "tg_idle"), add(keys, "tg_noticed"), add(keys, "tg_active")
    for key in (idle, noticed, active):
        assert await _status(authenticator, key) == 200
    for token in ("tg_idle", "tg_noticed"):
        del keys.known[sha256(token.encode()).digest()]
    clock.at_s = TTL_S + IDLE_S
    assert await _status(authenticator, noticed) == 401
    assert await _status(authenticator, active) == 200
    keys.is_away = True
    clock.at_s += TTL_S
    statuses = {key: await _status(authenticator, key) for key in (active, noticed, idle)}
    assert statuses == {active: 200, noticed: 401, idle: 503}
    # What was noticed still holds an hour later.
    clock.at_s += STALE_S - 1
    assert await _status(authenticator, noticed) == 401


async def test_an_outage_pauses_look_ups(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    goods = [add(keys, f"tg_{n}") for n in range(50)]
    for good in goods:
        assert await _status(authenticator, good) == 200
    clock.at_s = TTL_S
    keys.is_away = True
    asked = keys.look_ups
    for good in goods:
        assert await _status(authenticator, good) == 200
    assert keys.look_ups == asked + 1
    clock.at_s += PAUSE_S
    assert await _status(authenticator, goods[0]) == 200
    assert keys.look_ups == asked + 2
    # As soon as one look-up is answered, all keys are looked up again.
    keys.is_away = False
    clock.at_s += PAUSE_S
    keys.known.clear()
    assert {await _status(authenticator, good) for good in goods} == {401}


async def test_a_slow_look_up_still_finds_a_revocation(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    """Accepted from the cache meanwhile, the key is rejected once Postgres has answered."""
    good = add(keys, "tg_good")
    assert await _status(authenticator, good) == 200
    clock.at_s = TTL_S
    keys.known.clear()
    keys.may_answer.clear()
    assert await _status(authenticator, good) == 200
    keys.may_answer.set()
    async with asyncio.timeout(HANG_S):
        while await _status(authenticator, good) != 401:
            await asyncio.sleep(0)


async def test_slow_look_ups_of_guessed_keys_are_no_outage(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    """Otherwise guessed keys could keep a revoked key alive."""
    good = add(keys, "tg_good")
    assert await _status(authenticator, good) == 200
    clock.at_s = TTL_S - PAUSE_S / 2
    keys.may_answer.clear()
    assert await _status(authenticator, "Bearer tg_guess") == 503
    keys.may_answer.set()
    clock.at_s = TTL_S
    keys.known.clear()
    assert await _status(authenticator, good) == 401


async def test_a_hanging_look_up_delays_no_request_for_long(
    authenticator: Authenticator, keys: FakeApiKeys, clock: ManualClock
) -> None:
    good, never_seen = add(keys, "tg_good"), add(keys, "tg_new")
    assert await _status(authenticator, good) == 200
    clock.at_s = TTL_S
    keys.may_answer.clear()
    async with asyncio.timeout(HANG_S):
        asked = [good, never_seen, *[f"Bearer tg_{n}" for n in range(50)]]
        statuses = await asyncio.gather(*[_status(authenticator, key) for key in asked])
    assert statuses == [200, 503, *[503] * 50]
    assert keys.at_once <= 4
    keys.may_answer.set()
    assert await _status(authenticator, never_seen) == 200


async def test_a_cancelled_caller_does_not_cancel_others(
    authenticator: Authenticator, keys: FakeApiKeys
) -> None:
    good = add(keys, "tg_good")
    keys.may_answer.clear()
    first = asyncio.create_task(_status(authenticator, good))
    await asyncio.sleep(0)
    second = asyncio.create_task(_status(authenticator, good))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    keys.may_answer.set()
    assert await second == 200
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_revoked_key_is_rejected(site: Site, wire: Wire) -> None:
    keys = ApiKeys(pool=site.gateway.stores.primary)
    made, wire.token = await keys.create("till", ["ingest"], [], actor="test")
    assert await keys.revoke(made.id, actor="test")
    assert (await wire.submit(order_bytes())).status == 401
