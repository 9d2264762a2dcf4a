"""README.md and every guide, played line by line in a fresh clone."""

from pathlib import Path

import pytest

from tests.newcomer import clone, documents
from tests.newcomer.play import NotAsSaid, play

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("path", documents.played(), ids=documents.name)
def test_a_page_is_as_it_says(path: Path) -> None:
    play(path.read_text("utf-8"), clone.ours())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```sh\nmake no-such-target\n```", "ended with 2"),
        ("```sh\necho 24 checks\n```\n\n```output\n25 checks\n```", "prints something else"),
        ("<!-- newcomer: status=1 -->\n```sh\ntrue\n```", "ended with 0"),
        ("```sh\n.venv/bin/tidegate serve\n```", "ended with 2"),
    ],
)
def test_a_page_that_lies_is_found_out(text: str, why: str) -> None:
    with pytest.raises(NotAsSaid, match=why):
        play(text, clone.ours())


def test_the_clone_runs_its_own_code_in_an_environment_of_its_own() -> None:
    play(
        "```sh\n.venv/bin/python -c 'import gateway, os; "
        "print(os.path.relpath(gateway.__file__))'\nmake venv runtime develop\n"
        ".venv/bin/tidegate version > version\ngit status --short version\n```\n\n"
        "```output\ngateway/__init__.py\n?? version\n```\n",
        clone.ours(),
    )
