"""`python -m ops.reference`: write the reference pages anew; `--check`: say which are outdated."""

import sys

import click

from ops.reference import pages


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a page is outdated.")
def main(check: bool) -> None:
    """Write ops/guides/reference from the code."""
    if not check:
        pages.write()
        return
    for name in (outdated := pages.outdated()):
        click.echo(f"{name} is not as the code is: run `{pages.COMMAND}`", err=True)
    sys.exit(bool(outdated))


if __name__ == "__main__":
    main()
