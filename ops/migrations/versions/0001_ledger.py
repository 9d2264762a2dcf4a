"""The ledger."""

from ops.migrations import scripts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the ledger in an empty schema."""
    scripts.run("0001_ledger.sql")


def downgrade() -> None:
    """Refuse: the ledger is what must not be lost."""
    raise RuntimeError(
        "the ledger is not dropped by a migration; to start over, make an empty database"
    )
