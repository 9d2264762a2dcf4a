"""What the channels of alerts were told."""

from ops.migrations import scripts

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    scripts.run("0022_alerts.sql")


def downgrade() -> None:
    """Refuse: of what channels were told, nothing would be taken back."""
    raise RuntimeError("workers use the table; to go back, restore a backup")
