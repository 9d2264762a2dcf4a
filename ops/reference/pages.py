"""Which page is made by what; writes the pages, or says which are out of date."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ops.reference import commands, errors, metrics, routes, settings

DIRECTORY = Path(__file__).resolve().parents[1] / "guides" / "reference"
COMMAND = "make reference"

#: The pages by the name of their file.
PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings.page,
    "metrics.md": metrics.page,
    "errors.md": errors.page,
    "commands.md": commands.page,
    "routes.md": routes.page,
}


def write(directory: Path = DIRECTORY) -> None:
    """The directory has every page, as the code is now."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), "utf-8")


def outdated(directory: Path = DIRECTORY) -> list[str]:
    """Return the names of the pages that are missing, or not as the code is now."""
    return [name for name, page in PAGES.items() if _text(directory / name) != page()]


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None
