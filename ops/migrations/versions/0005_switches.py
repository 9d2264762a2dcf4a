"""Operators' modes."""

from ops.migrations import scripts

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    scripts.run("0005_switches.sql")


def downgrade() -> None:
    """Refuse: this program needs the table, and an older one is not hindered by it."""
    raise RuntimeError(
        "an older version runs with this table as well; to go back, restore a backup"
    )
