"""Orders by the tracking number of their parcel."""

from ops.migrations import scripts

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    scripts.run("0003_tracking_numbers.sql")


def downgrade() -> None:
    """Refuse: this program needs the index, and an older one is not hindered by it."""
    raise RuntimeError(
        "an older version runs with this index as well; to go back, restore a backup"
    )
