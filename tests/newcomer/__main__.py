"""`python -m tests.newcomer`: play README.md and the guides outside the test suite.

`--fresh`: `make` makes the environment, README.md's as its first command says, and one that the
guides borrow. It takes a network and minutes.
"""

import sys
import time
from pathlib import Path

import click

from tests.newcomer import clone, documents
from tests.newcomer.clone import Environment
from tests.newcomer.play import NotAsSaid, directory_of_ours, play


@click.command()
@click.option("--fresh", is_flag=True, help="Make a new environment with `make`; needs a network.")
@click.argument("pages", nargs=-1, type=click.Path(exists=True, path_type=Path))
def main(*, fresh: bool, pages: tuple[Path, ...]) -> None:
    """Play PAGES, or README.md and all guides. Exits 1 when something is not as a page says."""
    failed = 0
    with directory_of_ours() as directory:
        lent = clone.installed(directory / "lent") if fresh else clone.ours()
        for page in [path.resolve() for path in pages] or documents.played():
            began_s = time.monotonic()
            what = _played(page, None if fresh and page.name == "README.md" else lent)
            failed += bool(what)
            took_s = time.monotonic() - began_s
            click.echo(f"{documents.name(page)}: {what or 'as it says'} ({took_s:.0f} s)")
    sys.exit(bool(failed))


def _played(page: Path, environment: Environment | None) -> str:
    """Return what is not as the page says; empty: everything is."""
    try:
        play(page.read_text("utf-8"), environment)
    except NotAsSaid as exc:
        return f"NOT as it says: {exc}"
    return ""


if __name__ == "__main__":
    main()
