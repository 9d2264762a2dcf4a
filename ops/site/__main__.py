"""`python -m ops.site`: build the guides as a site into build/docs, and check its links."""

import shutil
import sys
from pathlib import Path

import click

from ops.reference import pages
from ops.site import html_links

ROOT = Path(__file__).resolve().parents[2]
_TARGET = ROOT / "build" / "docs"


def build(target: Path, *, builder: str = "html") -> int:
    """Return Sphinx' exit status: 0 when the site was built without a warning."""
    # Imported here: without the packages of the tests there is no Sphinx, and this says so.
    from sphinx.cmd.build import build_main

    return build_main(
        [
            "-W",
            "--keep-going",
            "-n",
            "-q",
            "-E",
            "-b",
            builder,
            "-c",
            str(ROOT / "ops" / "guides"),
            "-d",
            str(target.with_name(f"{target.name}.doctrees")),
            str(ROOT),
            str(target),
        ]
    )


@click.command()
@click.option(
    "--linkcheck", is_flag=True, help="Ask every address outside the site instead; needs a network."
)
@click.argument("target", type=click.Path(path_type=Path), default=_TARGET)
def main(*, linkcheck: bool, target: Path) -> None:
    """Build the site into TARGET, build/docs by default. Exits 1 for a warning or a broken link."""
    if outdated := pages.outdated():
        click.echo(f"not as the code is: {', '.join(outdated)}; run `{pages.COMMAND}`", err=True)
        sys.exit(1)
    if linkcheck:
        sys.exit(build(target.with_name(f"{target.name}.linkcheck"), builder="linkcheck"))
    if target.exists() and target != _TARGET and not (target / "objects.inv").exists():
        raise click.ClickException(f"{target} is there and is no site: remove it, or name another")
    shutil.rmtree(target, ignore_errors=True)
    status = build(target)
    broken = html_links.problems(target) if target.exists() else []
    for problem in broken:
        click.echo(problem, err=True)
    if status or broken:
        sys.exit(1)
    click.echo(f"built {target}/index.html")


if __name__ == "__main__":
    main()
