"""What people do to orders: held, reopened, parcels cancelled, refunds made another way."""

from ops.migrations import scripts

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    scripts.run("0015_actions.sql")


def downgrade() -> None:
    """Refuse: an older gateway would ship what a person holds."""
    raise RuntimeError("what people did to orders is recorded; to go back, restore a backup")
