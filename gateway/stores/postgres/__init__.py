"""The ledger in PostgreSQL: every statement has a name and lives in ``statements/``."""
