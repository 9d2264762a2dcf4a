"""Tables for people: within the width of the terminal, with nothing cut off."""

import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.overload import cluster_view
from ops import load_view, tables
from ops.load_view import Row
from tests.ops.conftest import Cli
from tests.ops.test_load import process

_HEADS = ("ID", "NAME", "WHY")
_ROWS = [
    ("4f21a09c", "storefront", "the replica is being rebuilt, and lists must wait"),
    ("77aa01bb", "双十一", "r"),
]


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def test_without_a_width_each_row_is_one_line_in_aligned_columns() -> None:
    head, first, second = tables.lines(_HEADS, _ROWS)
    assert head == "ID        NAME        WHY"
    assert first.endswith("rebuilt, and lists must wait")
    assert columns(second.partition("r")[0]) == head.index("WHY")


def test_nothing_is_printed_without_rows() -> None:
    assert tables.lines(_HEADS, []) == []


@pytest.mark.parametrize("width", [60, 48, 40, 30, 20, 12])
def test_a_table_fits_and_keeps_every_word(width: int) -> None:
    lines = tables.lines(_HEADS, _ROWS, width=width)
    assert max(map(columns, lines)) <= max(width, len("storefront") + len("NAME  "))
    words = " ".join(lines).split()
    for row in _ROWS:
        for cell in row:
            assert all(word in words for word in cell.split())


@given(
    st.lists(st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=40)] * 3), max_size=4),
    st.integers(1, 90),
)
def test_only_a_word_can_be_too_wide(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = tables.lines(_HEADS, rows, width=width, spare=("WHY",))
    assert all(line.isprintable() for line in lines)
    cells = [tables._printable(cell) for row in rows for cell in row]
    words = [word for cell in cells for word in tables._BREAK.split(cell)]
    longest = max(map(tables._width, words), default=0)
    # A block has a label before the word; the note about columns has words of its own.
    assert all(tables._width(line) <= max(width, longest + 6, 10) for line in lines)


def test_columns_that_can_be_spared_are_left_out_and_named() -> None:
    lines = tables.lines(
        ("ID", "AGE", "STATE"), [("4f21a09c", "0000000012", "live")], width=18, spare=("AGE",)
    )
    assert lines[:2] == ["ID        STATE", "4f21a09c  live"]
    assert " ".join(lines[2:]).split() == "(not shown: AGE; --wide shows all)".split()


def test_a_time_is_not_broken() -> None:
    lines = tables.lines(("AT", "WHY"), [("2026-11-30 07:00", "one two three")], width=24)
    assert any(line.startswith("2026-11-30 07:00") for line in lines)


def test_a_cell_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "".join(tables.lines(("A",), [("\x1b[2J\nx",)]))


def test_the_load_fits_an_ordinary_terminal() -> None:
    rows = [Row(process(host="gateway-node-with-a-long-name", pid=1234567), 0.3)]
    summary = cluster_view.summary([row.process for row in rows])
    for width in (120, 80, 60):
        lines = load_view.view(summary, rows, unreadable=0, width=width)
        assert max(map(len, lines)) <= width
    assert max(map(len, load_view.view(summary, rows, unreadable=0))) > 120


def test_commands_fit_the_terminal_unless_they_are_asked_not_to(cli: Cli, tmp_path: Path) -> None:
    name = "a storefront with quite a long name for a key"
    made = cli("keys", "create", "--name", name, "--role", "ingest", "--role", "query")
    assert made.exit_code == 0
    begins = datetime.now(UTC).replace(microsecond=0)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'name = "sale"\n[[steps]]\ntarget = "tier3"\nmode = "shed"\n'
        f"from_at = {begins.isoformat()}\nuntil = {(begins + timedelta(hours=1)).isoformat()}\n"
        f'reason = "{"the sale opens at eight, " * 4}"\n'
    )
    assert cli("plan", "set", str(plan)).exit_code == 0
    for command in (
        ("keys", "list"),
        ("plan", "list"),
        ("plan", "check", str(plan)),
        ("shed",),
        ("simulate", "--list"),
    ):
        narrow = cli(*command, COLUMNS="72")
        assert narrow.exit_code == 0, command
        assert max(map(len, narrow.stdout.splitlines())) <= 72, narrow.stdout
        wide = cli(*command, "--wide", COLUMNS="72").stdout
        assert len(wide.splitlines()) < len(narrow.stdout.splitlines())
