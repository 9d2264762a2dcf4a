"""The re-check of payments and orders some seconds later."""

from ops.migrations import scripts

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and the table of cursors."""
    scripts.run("0026_recheck.sql")


def downgrade() -> None:
    """Refuse, as the revisions before."""
    raise RuntimeError("to go back, restore a backup")
