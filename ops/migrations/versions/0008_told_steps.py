"""Whether a step's beginning and end were written down."""

from ops.migrations import scripts

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    scripts.run("0008_told_steps.sql")


def downgrade() -> None:
    """Refuse: this program needs the columns, and an older one is not hindered by them."""
    raise RuntimeError(
        "an older version runs with these columns as well; to go back, restore a backup"
    )
