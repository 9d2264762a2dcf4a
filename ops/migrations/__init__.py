"""The schema's history: `versions/` in order, applied by `tidegate migrate`.

- `version`: the newest revision, and which one a database has
- `runner`: brings a database to the newest revision, one runner at a time
- `env`: what Alembic runs in between
- `scripts`: runs a whole SQL file inside Alembic's transaction
"""
