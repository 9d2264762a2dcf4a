"""What actions were answered, changes of addresses, and approvals."""

from ops.migrations import scripts

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    scripts.run("0019_action_answers.sql")


def downgrade() -> None:
    """Refuse: a repeat of an action would be done again."""
    raise RuntimeError("actions were answered; to go back, restore a backup")
