"""Orders by the time at which they were paid."""

from ops.migrations import scripts

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    scripts.run("0020_paid_orders.sql")


def downgrade() -> None:
    """Refuse, as the revisions before."""
    raise RuntimeError("the revisions before cannot be undone; to go back, restore a backup")
