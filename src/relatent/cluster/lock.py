"""One call of Snakemake at a time in a folder.

Snakemake's own locks are files, which stay when it is killed and then refuse every later call until someone gives
--unlock. A kernel's lock ends with its process, however that ends; profiles/default therefore says `nolock`.
"""

import fcntl
import os
import socket
from pathlib import Path

from relatent.specs.errors import RelatentError


def hold(path: Path) -> None:
    """Lock the file `path` until this process ends; its children do not inherit the lock.

    Raises RelatentError when another process holds it, or where the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text() or "unknown process"
        raise RelatentError(f"another snakemake ({holder}) works in this folder; wait for its end or stop it") from None
    except OSError as error:
        raise RelatentError(f"{path}: expected a file that can be locked, got: {error.strerror}") from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    # Left open: closing it would give the lock back.
