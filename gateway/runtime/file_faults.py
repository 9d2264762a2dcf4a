"""Why a file cannot be read, in words for the person who wrote it."""

import errno
import os


def reason(problem: OSError | ValueError) -> str:
    """Return it without the path, which the caller names, and without what the file holds."""
    if isinstance(problem, UnicodeDecodeError):
        return f"its byte {problem.start} is not UTF-8"
    if isinstance(problem, OSError):
        return problem.strerror or os.strerror(problem.errno or errno.EIO)
    return str(problem)
