"""Parked rows: who has them, who closed them, their numbers, their replays."""

from ops.migrations import scripts

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and fill in those of open rows."""
    scripts.run("0021_parked_rows.sql")


def downgrade() -> None:
    """Refuse: who closed which row, and why, would be lost."""
    raise RuntimeError("who closed which row would be lost; to go back, restore a backup")
