"""Screening rules: what they found of an order, and the purchases that they count."""

from ops.migrations import scripts

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the counts."""
    scripts.run("0024_screening.sql")


def downgrade() -> None:
    """Refuse: why orders were held, and where they are sent from, would be lost."""
    raise RuntimeError("orders have what rules found of them; to go back, restore a backup")
