"""Exceptions and what was done about each."""

from ops.migrations import scripts

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    scripts.run("0018_exceptions.sql")


def downgrade() -> None:
    """Refuse: the journals of the cases are nowhere else."""
    raise RuntimeError("what people decided would be lost; to go back, restore a backup")
