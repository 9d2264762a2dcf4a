"""Alerts that one worker sees, and another does not."""

from ops.migrations import scripts

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    scripts.run("0028_firing_alerts.sql")


def downgrade() -> None:
    """Refuse: the workers use the column."""
    raise RuntimeError("workers use the column; to go back, restore a backup")
