"""Whether the stock was asked about an order."""

from ops.migrations import scripts

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    scripts.run("0006_stock_check.sql")


def downgrade() -> None:
    """Refuse: this program needs the column, and an older one is not hindered by it."""
    raise RuntimeError(
        "an older version runs with this column as well; to go back, restore a backup"
    )
