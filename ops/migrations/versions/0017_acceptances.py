"""Acceptances of orders by the targets of the hand-off."""

from ops.migrations import scripts

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the table of orders that wait for a target's word."""
    scripts.run("0017_acceptances.sql")


def downgrade() -> None:
    """Refuse: who accepted which order would be lost."""
    raise RuntimeError("acceptances would be lost; to go back, restore a backup")
