"""A reader's terminal: what one block sets the next one finds, and nothing is left behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.newcomer.terminal import Terminal
from tests.support.patience import until_blocking

pytestmark = pytest.mark.servers


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path, environment={"PATH": os.environ["PATH"]}, scratch=tmp_path)
    yield made
    made.close()


def test_variables_and_the_directory_last(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.run("KEY='a b'\nexport URL=$KEY/x\nmkdir in\ncd in\n").status == 0
    printed = terminal.run('echo "$KEY" "$URL"; pwd; env | grep -c ^KEY= || true')
    assert printed.text == f"a b a b/x\n{tmp_path}/in\n0\n"


def test_a_block_ends_with_the_first_command_that_fails(terminal: Terminal) -> None:
    printed = terminal.run("echo a\nfalse\necho b")
    assert (printed.text, printed.status) == ("a\n", 1)


def test_what_stays_is_interrupted(terminal: Terminal) -> None:
    stays = "trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.1; done"
    assert terminal.start(f"SEEN=1\n{stays}", until="ready").status == 0
    assert terminal.run("echo $SEEN").text == "1\n"
    assert terminal.interrupt() == [(stays, 0)]
    assert terminal.interrupt() == []


def test_what_ends_before_it_is_ready_is_no_success(terminal: Terminal) -> None:
    printed = terminal.start("echo no; exit 0", until="ready")
    assert (printed.text, printed.status) == ("no\n", 1)


def test_nothing_is_left_behind(terminal: Terminal) -> None:
    pid = int(terminal.run("sleep 1000 & echo $!").text)
    terminal.close()
    until_blocking(lambda: not Path(f"/proc/{pid}").exists())
