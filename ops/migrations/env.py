"""Run by Alembic, with the connection that `runner.py` opened and locked."""

from alembic import context

if context.is_offline_mode():
    raise SystemExit("offline SQL is not offered: the files in versions/ are plain SQL already")

context.configure(
    connection=context.config.attributes["connection"],
    # All steps or none: Postgres rolls DDL back like anything else.
    transactional_ddl=True,
    transaction_per_migration=False,
    on_version_apply=context.config.attributes["on_version_apply"],
)
with context.begin_transaction():
    context.run_migrations()
