"""The hand-off: change feed, targets, deliveries and their attempts."""

from ops.migrations import scripts

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the outbox anew, with positions, and the tables that it is relayed into."""
    scripts.run("0016_hand_off.sql")


def downgrade() -> None:
    """Refuse: what was handed on is known to these tables alone."""
    raise RuntimeError("deliveries would be forgotten; to go back, restore a backup")
