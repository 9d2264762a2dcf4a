"""Commands that any document names exist, with their options."""

from pathlib import Path

import pytest

from tests.newcomer import documents, spelling
from tests.test_documents import DOCUMENTS

#: The changelog says what was, too.
_OF_NOW = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]


@pytest.mark.parametrize("path", _OF_NOW, ids=documents.name)
def test_every_command_that_is_named_exists(path: Path) -> None:
    said = [
        f"{command}: {reason}"
        for command in spelling.named(path.read_text("utf-8"))
        if (reason := spelling.wrong(command))
    ]
    assert not said


@pytest.mark.parametrize(
    "command",
    [
        "tidegate shoot",
        ".venv/bin/tidegate serve --prot 8080",
        "tidegate keys crate --name x",
        "make tests",
        "python -m tests.nowhere",
    ],
)
def test_a_command_that_does_not_exist_is_seen(command: str) -> None:
    assert spelling.wrong(command)


@pytest.mark.parametrize(
    "command",
    [
        "tidegate COMMAND --help",
        "tidegate keys create --name storefront --role ingest --channel web",
        'tidegate shed order_lists on --for 30m --reason "…"',
        "tidegate serve --role core --port 8081 &",
        "tidegate config --json | jq -r --arg x 1",
        'make test ARGS="tests/web -k remark"',
        "python -m tests.newcomer --fresh",
        "make",
        "curl --anything",
    ],
)
def test_a_command_that_exists_is_none(command: str) -> None:
    assert not spelling.wrong(command)
