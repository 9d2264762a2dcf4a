"""Runs of a business day, and what the nightly scan found."""

from ops.migrations import scripts

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    scripts.run("0023_nightly.sql")


def downgrade() -> None:
    """Refuse: what was found would be found again, as new."""
    raise RuntimeError("findings would be forgotten; to go back, restore a backup")
