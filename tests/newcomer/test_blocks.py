"""Pages are read as their reader would, and a page that cannot be played is a misprint."""

from pathlib import Path

import pytest

from tests.newcomer import blocks, documents
from tests.newcomer.blocks import Command, Misprint, Page, Skipped, Step, Stop, Write


def _steps(text: str) -> list[object]:
    return [step.what for step in blocks.read(text).steps]


@pytest.mark.parametrize("path", documents.played(), ids=documents.name)
def test_every_page_can_be_played(path: Path) -> None:
    blocks.read(path.read_text("utf-8"))


def test_a_block_and_its_output() -> None:
    text = "# T\n\n```sh\necho a\n```\n\nIt says:\n\n```output\na\n```\n"
    assert blocks.read(text) == Page("nothing", [Step(3, Command("echo a\n", "a\n"))])


def test_a_session_is_a_command_for_each_prompt() -> None:
    text = "```console\n$ echo a \\\n>   b\na b\n$ true\n$ false\n```\n"
    assert _steps(f"<!-- newcomer: status=1 -->\n{text}") == [
        Command("echo a \\\n  b", "a b"),
        Command("true", ""),
        Command("false", "", 1),
    ]


def test_what_stays_is_known() -> None:
    for command in ("make run", 'make run ARGS="--port 8090"', ".venv/bin/tidegate up"):
        (step,) = _steps(f"```sh\n. .tidegate/env\n{command}\n```\n")
        assert isinstance(step, Command)
        assert step.stays_until == "Ctrl-C stops"
    (step,) = _steps("<!-- newcomer: stays until=Starting -->\n```sh\nlocust\n```\n")
    assert isinstance(step, Command)
    assert step.stays_until == "Starting"


def test_marks() -> None:
    text = """
<!-- newcomer: needs=gateway -->

# T

<!-- newcomer: skip=root -->
```sh
systemctl reload tidegate
```

<!-- newcomer: append=tidegate.toml -->

```toml
a = 1
```

<!-- newcomer: hidden
export SECRET=x
-->
<!-- newcomer: stop -->
"""
    assert blocks.read(text).needs == "gateway"
    assert _steps(text) == [
        Skipped("systemctl reload tidegate\n", "root"),
        Write("tidegate.toml", "a = 1\n", is_appended=True),
        Command("export SECRET=x"),
        Stop(),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```\nmake\n```", "without a language"),
        ("```bash\nmake\n```", "`sh` or `console`"),
        ("text\n\n    make run\n", "indented"),
        ("<!-- newcomer: skip=tired -->\n```sh\nmake\n```", "none of account"),
        ("<!-- newcomer: skip=root -->\n\ntext\n\n```sh\nmake\n```", "above no block"),
        ("<!-- newcomer: skip=root -->\n", "above no block"),
        ("<!-- newcomer: shout -->\n```sh\nmake\n```", "not a mark"),
        ("text <!-- newcomer: skip=root --> text", "inside a paragraph"),
        ("```output\na\n```", "below no block"),
        ("```sh\na\n```\n\n```json\n1\n```\n\n```output\na\n```", "below no block"),
        ("```console\nmake\n```", "begins with"),
        ("```sh\na\n```\n<!-- newcomer: needs=gateway -->", "above the first block"),
        ("<!-- newcomer: needs=luck -->", "none of"),
        ("<!-- newcomer: file=a -->\n```sh\nmake\n```", "above a block of commands"),
        ("<!-- newcomer: status=1 -->\n```json\n{}\n```", "not run"),
        ("```json\n{,}\n```", "cannot be read"),
        ("```toml\na = \n```", "cannot be read"),
        ("```python\ndef\n```", "cannot be read"),
    ],
)
def test_misprints(text: str, why: str) -> None:
    with pytest.raises(Misprint, match=why):
        blocks.read(text)


def test_commands_of_a_block() -> None:
    text = "# first\ncurl -s \\\n  http://h   # with a reason\n\nmake run\n"
    assert blocks.commands(text) == ["curl -s http://h   # with a reason", "make run"]
