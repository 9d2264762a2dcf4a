"""The breaker: who fails too often is left alone for a while, then tried with care."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.runtime.circuit_breaker import CircuitBreaker, Permit

WINDOW_S = 10.0
CALLS_MIN = 4
OPEN_S = 2.0
OPEN_S_MAX = 7.0
PROBES = 3
PROBE_S = 1.0


def breaker(*, jitter: float = 0.0) -> CircuitBreaker:
    return CircuitBreaker(
        window_s=WINDOW_S,
        calls_min=CALLS_MIN,
        failed_share=0.5,
        open_s=OPEN_S,
        open_s_max=OPEN_S_MAX,
        probes=PROBES,
        probe_s=PROBE_S,
        jitter=lambda: jitter,
    )


def permit(of: CircuitBreaker, now_s: float) -> Permit:
    given = of.ask(now_s)
    assert given is not None
    return given


def settle(given: Permit, how: str, now_s: float) -> None:
    if how == "s":
        given.succeed(now_s)
    elif how == "f":
        given.fail(now_s)
    else:
        given.withdraw()


def opened(*, at_s: float = 0.0, jitter: float = 0.0) -> CircuitBreaker:
    it = breaker(jitter=jitter)
    for _ in range(CALLS_MIN):
        permit(it, at_s).fail(at_s)
    assert it.state == "open"
    return it


def probing(*, at_s: float = OPEN_S) -> tuple[CircuitBreaker, list[Permit]]:
    it = opened(at_s=at_s - OPEN_S)
    return it, [permit(it, at_s) for _ in range(PROBES)]


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ([], "closed"),
        ([(0, "f"), (0, "f"), (0, "f")], "closed"),  # too few to judge
        ([(0, "f"), (0, "f"), (0, "f"), (0, "f")], "open"),
        ([(0, "s"), (0, "s"), (0, "f"), (0, "f")], "open"),  # exactly the share
        ([(0, "f"), (0, "f"), (0, "f"), (0, "s")], "open"),  # a success may complete the number
        ([(0, "s"), (0, "s"), (0, "s"), (0, "f"), (0, "f")], "closed"),
        ([(0, "f"), (0, "f"), (0, "f"), (0, "w"), (0, "w")], "closed"),  # withdrawn is nothing
        ([(0, "f"), (3, "f"), (6, "f"), (8.9, "f")], "open"),
        ([(0, "f"), (0, "f"), (0, "f"), (10, "f")], "closed"),  # the window has passed
        ([(0, "f"), (0, "f"), (0, "f"), (500, "f"), (501, "f")], "closed"),
        ([(0, "s")] * 9 + [(10, "f")] * 4, "open"),  # old successes hide nothing
    ],
)
def test_it_opens_when_enough_calls_of_the_window_failed(
    calls: Sequence[tuple[float, str]], state: str
) -> None:
    it = breaker()
    for at_s, how in calls:
        settle(permit(it, at_s), how, at_s)
    assert it.state == state
    assert it.opened == (state == "open")


def test_open_it_gives_no_permit_before_its_pause_is_over() -> None:
    it = opened(at_s=100.0)
    assert it.ask(100.0) is None
    assert it.ask(100.0 + OPEN_S - 0.001) is None
    assert it.ask(100.0 + OPEN_S) is not None
    assert it.state == "half_open"


def test_jitter_lengthens_the_pause() -> None:
    it = opened(jitter=0.25)
    assert it.ask(1.25 * OPEN_S - 0.001) is None
    assert it.ask(1.25 * OPEN_S) is not None


def test_half_open_only_so_many_may_try() -> None:
    it, _ = probing()
    assert it.ask(OPEN_S) is None


def test_a_probe_that_succeeded_keeps_its_place() -> None:
    it, probes = probing()
    probes[0].succeed(OPEN_S)
    assert it.ask(OPEN_S) is None
    assert it.state == "half_open"


def test_a_withdrawn_probe_gives_its_place_to_the_next() -> None:
    it, probes = probing()
    probes[0].withdraw()
    again = permit(it, OPEN_S)
    assert it.ask(OPEN_S) is None
    for each in (*probes[1:], again):
        each.succeed(OPEN_S)
    assert it.state == "closed"


def test_when_all_probes_succeeded_it_closes_and_the_past_is_forgotten() -> None:
    it, probes = probing()
    for each in probes:
        each.succeed(OPEN_S)
    for _ in range(CALLS_MIN - 1):
        permit(it, OPEN_S).fail(OPEN_S)
    assert it.state == "closed"
    permit(it, OPEN_S).fail(OPEN_S)
    assert (it.state, it.opened) == ("open", 2)


def test_one_failed_probe_opens_it_again() -> None:
    it, probes = probing()
    probes[0].succeed(OPEN_S)
    probes[1].fail(OPEN_S)
    probes[2].succeed(OPEN_S)
    assert (it.state, it.opened) == ("open", 2)
    assert it.ask(OPEN_S) is None


def test_a_probe_that_is_never_settled_counts_as_failed() -> None:
    it, probes = probing()
    for each in probes[1:]:
        each.succeed(OPEN_S)
    assert it.ask(OPEN_S + PROBE_S) is None
    assert it.state == "half_open"
    assert it.ask(OPEN_S + PROBE_S + 0.001) is None
    assert (it.state, it.opened) == ("open", 2)


def test_a_probe_that_succeeds_too_late_failed() -> None:
    it, probes = probing()
    probes[0].succeed(OPEN_S + PROBE_S + 0.001)
    assert it.state == "open"


def test_each_pause_is_twice_the_last_up_to_a_bound_until_it_closed() -> None:
    it, now_s, pauses = opened(), 0.0, []
    for _ in range(4):
        pause_s = next(step / 2 for step in range(100) if it.ask(now_s + step / 2) is not None)
        pauses.append(pause_s)
        now_s += pause_s + 2 * PROBE_S
        assert it.ask(now_s) is None  # the probe just given is overdue
    assert pauses == [OPEN_S, 2 * OPEN_S, OPEN_S_MAX, OPEN_S_MAX]
    now_s += OPEN_S_MAX
    for _ in range(PROBES):
        permit(it, now_s).succeed(now_s)
    for _ in range(CALLS_MIN):
        permit(it, now_s).fail(now_s)
    assert it.ask(now_s + OPEN_S - 0.001) is None
    assert it.ask(now_s + OPEN_S) is not None


@pytest.mark.parametrize("how", ["s", "f", "w"])
def test_what_began_in_an_earlier_state_says_nothing_of_this_one(how: str) -> None:
    it = breaker()
    late = [permit(it, 0.0) for _ in range(3 * CALLS_MIN)]
    for _ in range(CALLS_MIN):
        permit(it, 0.0).fail(0.0)
    for each in late[:CALLS_MIN]:
        settle(each, how, 1.0)
    assert (it.state, it.opened) == ("open", 1)
    assert it.ask(OPEN_S - 0.001) is None
    probes = [permit(it, OPEN_S) for _ in range(PROBES)]
    for each in late[CALLS_MIN : 2 * CALLS_MIN]:
        settle(each, how, OPEN_S)
    assert it.state == "half_open"
    assert it.ask(OPEN_S) is None
    for each in probes:
        each.succeed(OPEN_S)
    for each in late[2 * CALLS_MIN :]:
        settle(each, how, OPEN_S)
    permit(it, OPEN_S).fail(OPEN_S)
    assert (it.state, it.opened) == ("closed", 1)


def test_a_permit_counts_once() -> None:
    it, (first, *_) = probing()
    for _ in range(PROBES):
        first.succeed(OPEN_S)
    first.fail(OPEN_S)
    first.withdraw()
    assert it.state == "half_open"
    assert it.ask(OPEN_S) is None


class Model(RuleBasedStateMachine):
    """Beside a model that keeps every call: the same state after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = breaker()
        # A tick is a slice of the window, so that the model need not know of slices.
        self.tick = 0
        self.state, self.until, self.pause = "closed", 0, OPEN_S
        self.era = 0
        self.calls: list[tuple[int, bool]] = []
        self.succeeded = 0
        #: Permit, the era and the tick it was given in; settled ones leave.
        self.held: list[tuple[Permit, int, int]] = []

    def out(self) -> list[int]:
        return [tick for _, era, tick in self.held if era == self.era]

    def enter(self, state: str) -> None:
        self.state, self.calls, self.succeeded = state, [], 0
        self.era += 1

    def trip(self) -> None:
        self.until = self.tick + int(self.pause)
        self.pause = min(self.pause * 2, OPEN_S_MAX)
        self.enter("open")

    @rule(ticks=st.integers(1, 12))
    def wait(self, ticks: int) -> None:
        self.tick += ticks

    @rule()
    def ask(self) -> None:
        given = self.breaker.ask(float(self.tick))
        if self.state == "open" and self.tick >= self.until:
            self.enter("half_open")
        if self.state == "half_open" and any(self.tick - t > PROBE_S for t in self.out()):
            self.trip()
        is_let = self.state == "closed" or (
            self.state == "half_open" and len(self.out()) + self.succeeded < PROBES
        )
        assert (given is not None) == is_let
        if given is not None:
            self.held.append((given, self.era, self.tick))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from("ssffw"))
    def settle(self, data: st.DataObject, how: str) -> None:
        at = data.draw(st.integers(0, len(self.held) - 1))
        given, era, tick = self.held.pop(at)
        settle(given, how, float(self.tick))
        if how == "w" or era != self.era:
            return
        if self.state == "closed":
            self.calls.append((self.tick, how == "f"))
            recent = [failed for t, failed in self.calls if t > self.tick - WINDOW_S]
            if len(recent) >= CALLS_MIN and sum(recent) >= len(recent) / 2:
                self.trip()
        elif how == "f" or self.tick - tick > PROBE_S:
            self.trip()
        else:
            self.succeeded += 1
            if self.succeeded == PROBES:
                self.pause = OPEN_S
                self.enter("closed")

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.state == self.state
        assert self.state != "half_open" or len(self.out()) <= PROBES

    def teardown(self) -> None:
        """Whatever happened, a server that is well again is asked again."""
        now_s = self.tick + OPEN_S_MAX + PROBE_S
        # A probe that was never settled opens it again.
        given = self.breaker.ask(now_s)
        if given is not None:
            given.withdraw()
        now_s += OPEN_S_MAX
        for _ in range(PROBES):
            given = self.breaker.ask(now_s)
            if given is not None:
                given.succeed(now_s)
        assert self.breaker.state == "closed"


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=60)
