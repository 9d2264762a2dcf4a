"""Payments in parts, parcels, refunds and disputes by rows."""

from ops.migrations import scripts

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and what orders and payments need for them."""
    scripts.run("0012_parts_and_parcels.sql")


def downgrade() -> None:
    """Refuse: an older version knows one payment and one parcel of an order."""
    raise RuntimeError(
        "an older version knows one payment of an order; to go back, restore a backup"
    )
