"""The shape in which orders are handed over."""

from ops.migrations import scripts

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the type."""
    scripts.run("0007_placement_rows.sql")


def downgrade() -> None:
    """Refuse: this program needs the type, and an older one is not hindered by it."""
    raise RuntimeError("an older version runs with this type as well; to go back, restore a backup")
