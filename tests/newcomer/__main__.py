"""`python -m tests.newcomer`: play README.md and the guides outside the test suite.

`--fresh` makes a new environment for every page with `make`, as a newcomer would; this takes a
network and minutes.
"""

import sys
import time
from pathlib import Path

import click

from tests.newcomer import documents
from tests.newcomer.play import NotAsSaid, play


@click.command()
@click.option("--fresh", is_flag=True, help="Make a new environment with `make`; needs a network.")
@click.argument("pages", nargs=-1, type=click.Path(exists=True, path_type=Path))
def main(*, fresh: bool, pages: tuple[Path, ...]) -> None:
    """Play PAGES, or README.md and all guides. Exits 1 when something is not as a page says."""
    failed = 0
    for page in [path.resolve() for path in pages] or documents.played():
        began_s = time.monotonic()
        try:
            play(page.read_text("utf-8"), is_fresh=fresh)
            what = "as it says"
        except NotAsSaid as exc:
            what = f"NOT as it says: {exc}"
            failed += 1
        took_s = time.monotonic() - began_s
        click.echo(f"{documents.name(page)}: {what} ({took_s:.0f} s)")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
