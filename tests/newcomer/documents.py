"""The pages that a newcomer plays."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "ops" / "guides"

#: Generated, and compared with the code by another test: nothing in there is an instruction.
_REFERENCE = GUIDES / "reference"


def played() -> list[Path]:
    """Return README.md and the guides, in the order of their names."""
    guides = [path for path in sorted(GUIDES.rglob("*.md")) if _REFERENCE not in path.parents]
    return [ROOT / "README.md", *guides]


def name(path: Path) -> str:
    """Return the path as it is written from the root of the repository."""
    return path.relative_to(ROOT).as_posix()
