"""Other numbers of an order."""

from ops.migrations import scripts

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    scripts.run("0014_order_no_aliases.sql")


def downgrade() -> None:
    """Refuse: senders were answered that their number names another order."""
    raise RuntimeError("senders were given these aliases; to go back, restore a backup")
