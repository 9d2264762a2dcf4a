"""Tax of orders."""

from ops.migrations import scripts

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the shape in which they are handed over."""
    scripts.run("0013_order_shapes.sql")


def downgrade() -> None:
    """Refuse: what an order has of them would be lost."""
    raise RuntimeError("orders may have tax by now; to go back, restore a backup")
