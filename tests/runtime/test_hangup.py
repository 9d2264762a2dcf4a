"""SIGHUP asks for a reload, or says that the terminal has gone: which of both is decided here."""

import os
import signal

import pytest

from gateway.runtime import hangup
from gateway.runtime.hangup import Hangups


class Tty:
    """A terminal that a test takes away."""

    is_there = True

    def __call__(self) -> bool:
        return self.is_there


def test_without_a_signal_nothing_is_asked() -> None:
    assert [Hangups(is_tied=True, has_terminal=Tty()).take(n) for n in range(5)] == [None] * 5


def test_signals_in_a_row_are_one_reload() -> None:
    daemon = Hangups(is_tied=True, has_terminal=lambda: False)
    for _ in range(3):
        daemon.note()
    assert [daemon.take(0.0), daemon.take(0.1)] == ["reload", None]
    daemon.note()
    assert daemon.take(0.2) == "reload"


def test_a_signal_in_a_terminal_that_stays_is_a_reload() -> None:
    in_terminal = Hangups(is_tied=True, has_terminal=Tty())
    in_terminal.note()
    # At the second look: the kernel may signal before it takes the terminal away.
    assert [in_terminal.take(0.0), in_terminal.take(0.1), in_terminal.take(0.2)] == [
        None, "reload", None,
    ]  # fmt: skip
    in_terminal.note()
    assert [in_terminal.take(9.0), in_terminal.take(9.1)] == [None, "reload"]


@pytest.mark.parametrize("signalled_first", [True, False])
def test_a_terminal_that_hangs_up_ends_the_process(signalled_first: bool) -> None:
    tty = Tty()
    in_terminal = Hangups(is_tied=True, has_terminal=tty)
    assert in_terminal.take(0.0) is None
    in_terminal.note()
    if signalled_first:
        assert in_terminal.take(5.0) is None
    tty.is_there = False
    assert in_terminal.take(5.1) == "end"


def test_who_ignores_hang_ups_is_only_ever_reloaded() -> None:
    tty = Tty()
    under_nohup = Hangups(is_tied=False, has_terminal=tty)
    tty.is_there = False
    under_nohup.note()
    assert under_nohup.take(0.0) == "reload"


def test_who_outlives_its_terminal_is_a_daemon() -> None:
    """A shell that let the job go sends no signal when its terminal closes."""
    tty = Tty()
    let_go = Hangups(is_tied=True, has_terminal=tty)
    tty.is_there = False
    # Looked for again and again: it has been gone for four seconds.
    assert [let_go.take(100.0 + n / 10) for n in range(40)] == [None] * 40
    let_go.note()
    assert let_go.take(104.0) == "reload"


def test_a_process_that_listens_survives_sighup() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        hangups = hangup.listen()
        os.kill(os.getpid(), signal.SIGHUP)
        # The second look, where the tests run in a terminal.
        assert "reload" in (hangups.take(0.0), hangups.take(0.1))
    finally:
        signal.signal(signal.SIGHUP, before)
