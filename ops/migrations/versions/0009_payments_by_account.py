"""Transactions by the account that reported them."""

from ops.migrations import scripts

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the unique key of payments."""
    scripts.run("0009_payments_by_account.sql")


def downgrade() -> None:
    """Refuse: two accounts may have reported one number by now."""
    raise RuntimeError(
        "an older version knows one payment of a number; to go back, restore a backup"
    )
