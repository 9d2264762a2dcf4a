"""What targets want, for workers that do not have them in their settings."""

from ops.migrations import scripts

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    scripts.run("0027_known_targets.sql")


def downgrade() -> None:
    """Refuse: workers that have not been told would drop what others want."""
    raise RuntimeError("workers use the columns; to go back, restore a backup")
