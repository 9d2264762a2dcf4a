"""Test orders apart from live ones, and API keys for them alone."""

from ops.migrations import scripts

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and change the unique keys."""
    scripts.run("0011_test_orders.sql")


def downgrade() -> None:
    """Refuse: a test order and a live one may have one number by now."""
    raise RuntimeError("an older version knows one order of a number; to go back, restore a backup")
