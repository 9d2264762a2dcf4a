"""Actions that were journaled, and refused when their turn came."""

from ops.migrations import scripts

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    scripts.run("0025_refused_actions.sql")


def downgrade() -> None:
    """Refuse: a repeat of what was refused would be told that it was done."""
    raise RuntimeError("refusals are recorded; to go back, restore a backup")
