"""One pair of files a revision: `NNNN_name.sql` says what changes, `NNNN_name.py` places it."""
