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
    """Drop the table: at worst a channel is told again."""
    scripts.run("0022_alerts_down.sql")
