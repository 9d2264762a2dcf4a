"""Which keys private fields are sealed with."""

from ops.migrations import scripts

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    scripts.run("0010_sealing_keys.sql")


def downgrade() -> None:
    """Refuse: this program needs the table, and an older one is not hindered by it."""
    raise RuntimeError(
        "an older version runs with this table as well; to go back, restore a backup"
    )
