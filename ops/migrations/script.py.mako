"""${message}."""

from ops.migrations import scripts

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the SQL file beside this one."""
    scripts.run("FILL IN.sql")


def downgrade() -> None:
    """Refuse: going back is a restore."""
    raise RuntimeError("migrations only go forward; to go back, restore a backup")
