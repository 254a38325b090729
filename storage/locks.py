"""Lock files: which ones there are, and whether somebody holds one."""

import os
import sys
from pathlib import Path

__all__ = ["LOCKS_FOLDER", "is_held", "lock_of"]

#: Below the home.
LOCKS_FOLDER = "locks"


def lock_of(directory: Path, owner: str) -> Path:
    """The file that a process holds for as long as it runs."""
    return directory / f"{owner}.lock"


def is_held(path: Path) -> bool:
    """Whether a process of this machine holds a lock file; it need not be writable.

    True where that cannot be seen, and on Windows for every file that is there. For a moment the
    lock is shared: whoever tries it then believes that it is held, and finds out the next time.
    """
    if sys.platform == "win32":
        return path.exists()
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    try:
        # The kind of lock that `filelock` takes.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
