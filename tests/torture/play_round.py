"""One round: start the real system, send, strike, mend, wait for the recovery, and judge."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from loadtest import ledger_contents, verify
from loadtest.history import JOURNALED
from loadtest.verify import Check
from ops.embedded.cluster import Servers
from tests.torture import handing_on, main_thread, probing, tally
from tests.torture.fault import Fault, Impossible
from tests.torture.main_thread import OnMain
from tests.torture.results import Round
from tests.torture.world import World

#: Seconds of load before the strike, and after the recovery; half of it with ``--quick``.
_WARM_S = 2.0
_AFTER_S = 1.0
#: Seconds in which senders must get their answers once they begin no new order.
_FINISH_S = 30.0
_SETTLE_S = 30.0
_POLL_INTERVAL_S = 0.1


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of all rounds."""

    seed: int
    is_quick: bool
    #: The number of kills of a fault that kills repeatedly.
    cycles: int
    say: Callable[[str], None] = lambda _: None
    #: The directory where the files of each round are kept; None: they are removed.
    kept: Path | None = None


class _Course(msgspec.Struct):
    """The course of the load."""

    recovered_s: float | None = None
    journaled_s: float | None = None
    is_finished: bool = True


def play(fault: Fault, options: Options) -> Round:
    """Play one round with servers of its own. Call it from the main thread."""
    began_s = time.monotonic()
    with _directory(fault, options.kept) as directory:
        try:
            with Servers(replica=fault.replica, fsync=fault.fsync) as servers:
                played = main_thread.run(
                    lambda on_main: _play(fault, servers, directory, options, on_main)
                )
        except Impossible as exc:
            played = Round(
                fault=fault.name, is_control=fault.is_control, outcome="not run", wrong=[str(exc)]
            )
    played.took_s = time.monotonic() - began_s
    return played


@contextmanager
def _directory(fault: Fault, kept: Path | None) -> Iterator[Path]:
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="torture-") as made:
            yield Path(made)
    else:
        directory = kept / fault.name.replace(" ", "-").replace("/", "-")
        directory.mkdir(parents=True, exist_ok=True)
        yield directory


async def _play(
    fault: Fault, servers: Servers, directory: Path, options: Options, on_main: OnMain
) -> Round:
    world = World(
        servers=servers,
        directory=directory,
        fault=fault,
        seed=options.seed,
        is_quick=options.is_quick,
        cycles=options.cycles,
        say=options.say,
        on_main=on_main,
    )
    try:
        await fault.prepare(world)
        await world.start()
        async with world.sending():
            helping = [asyncio.create_task(work) for work in (world.attend(), world.balance())]
            try:
                course = await _load(world)
                return await _judged(world, course)
            finally:
                for task in helping:
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*helping)
    finally:
        try:
            await fault.release(world)
        finally:
            await world.stop()


async def _load(world: World) -> _Course:
    """Send from before the strike until after the recovery."""
    fault, course = world.fault, _Course()
    loop = asyncio.get_running_loop()
    haste = 0.5 if world.is_quick else 1.0
    try:
        async with asyncio.timeout(None) as patience, world.shoppers.shopping(fault.senders):
            await asyncio.sleep(_WARM_S * haste)
            world.crowd.first_s.clear()
            struck_s = time.monotonic()
            await fault.strike(world)
            await asyncio.sleep(fault.quick_s if world.is_quick else fault.lasts_s)
            await fault.mend(world)
            mended_s = time.monotonic()
            world.say(f"mended after {mended_s - struck_s:.1f} s, {_answers(world)}")
            course.recovered_s = await _recovered(world, mended_s)
            if course.recovered_s is not None:
                await asyncio.sleep(_AFTER_S * haste)
            if JOURNALED in world.crowd.first_s:
                course.journaled_s = world.crowd.first_s[JOURNALED] - struck_s
            patience.reschedule(loop.time() + _FINISH_S)
    except TimeoutError:
        course.is_finished = False
    return course


def _answers(world: World) -> str:
    return f"answers by status {world.shoppers.history.statuses()}"


async def _recovered(world: World, mended_s: float) -> float | None:
    """Wait, under load, until everything has recovered; the seconds it took, None if it has not."""
    reason = "nothing was checked"
    while time.monotonic() - mended_s < world.fault.recovers_s:
        reason = await probing.ailing(world, since_s=mended_s)
        if not reason:
            return time.monotonic() - mended_s
        await asyncio.sleep(_POLL_INTERVAL_S)
    world.say(f"not recovered: {reason}")
    return None


async def _judged(world: World, course: _Course) -> Round:
    """Wait until no message is in flight, and compare."""
    fault, history = world.fault, world.shoppers.history
    await ledger_contents.settle(world.database_url, world.replica_url, within_s=_SETTLE_S)
    deadline_s = time.monotonic() + _SETTLE_S
    while await world.journaled() and time.monotonic() < deadline_s:
        await asyncio.sleep(_POLL_INTERVAL_S)
    found = await ledger_contents.read_from(world.database_url)
    counted = tally.count(history, found)
    checks = verify.verify(
        history, found, tolerated={JOURNALED, *fault.refusals}, parking=fault.parks
    )
    resolving, resolved_s = await probing.ids_resolve(world)
    checks += [
        _is("everything recovered in time", course.recovered_s is not None),
        _is("every sender got an answer in the end", course.is_finished),
        Check("entries left in the journal", 0, await world.journaled()),
        verify.none("processes that ended by themselves", world.ended),
        verify.none("503 without Retry-After", world.crowd.without_retry_after),
        resolving,
        *await fault.judge(world, found),
    ]
    for receiver in world.receivers:
        checks += await handing_on.judged(world, receiver)
    if fault.expects_202:
        checks.append(_is("orders were journaled", counted.journaled > 0))
    if world.replica_url:
        primary = await ledger_contents.table_digests(world.database_url)
        checks += verify.compare(primary, await ledger_contents.table_digests(world.replica_url))
    broken = [check for check in checks if not check.ok]
    if fault.is_control and not any(fault.breaks in check.name for check in broken):
        # Other checks failed, and what the control planted was not detected.
        broken = []
    return Round(
        fault=fault.name,
        is_control=fault.is_control,
        outcome="broken" if broken else "held",
        wrong=[f"{c.name}: {c.found}, not {c.expected} {list(c.wrong)}" for c in broken],
        tally=counted,
        statuses=history.statuses(),
        recovered_s=course.recovered_s,
        journaled_s=course.journaled_s,
        resolved_s=round(resolved_s, 1) if counted.journaled else None,
        slowest_callback_s=round(world.crowd.slowest_callback_s, 2),
    )


def _is(name: str, holds: bool) -> Check:
    return Check(name, "yes", "yes" if holds else "no")
