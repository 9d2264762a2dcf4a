"""Aliases of orders."""

from ops.migrations import scripts

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of aliases."""
    scripts.run("0002_aliases.sql")


def downgrade() -> None:
    """Refuse: ids that were given out would lead nowhere."""
    raise RuntimeError("aliases were given to senders; to go back, restore a backup")
