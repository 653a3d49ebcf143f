"""Files that are being written, under names of their own, and what killed processes left of them.

A temporary file is named ``.<32 hexadecimal digits>.part`` and locked as long
as its writer lives.  So what a killed process left is told from what another
one is writing, and the next copy into the folder removes it.
"""

from __future__ import annotations

__all__ = ("has_temporary_name", "is_stale", "lock", "remove_leftovers", "temporary_file")

import contextlib
import fcntl
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"\.[0-9a-f]{32}\.part")
_DAY = 86400.0  # seconds after which a temporary file that cannot be locked has no writer any more


def has_temporary_name(name: str) -> bool:
    """Whether a file by this name is being written, or was left by a process that wrote it."""
    return _NAME.fullmatch(name) is not None


@contextlib.contextmanager
def temporary_file(folder: Path) -> Iterator[Path]:
    """Give an empty file in a folder, locked until the end of the block and then gone."""
    descriptor, temporary = _create_locked(folder)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _create_locked(folder: Path) -> tuple[int, Path]:
    while True:
        temporary = folder / f".{uuid.uuid4().hex}.part"
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        lock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():  # else another process took it for a leftover before it was locked
            return descriptor, temporary
        os.close(descriptor)


def lock(descriptor: int, how: int) -> bool | None:
    """Return whether a lock was got, `None` where there are no locks."""
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder."""
    for found in [Path(entry.path) for entry in os.scandir(folder) if has_temporary_name(entry.name)]:
        # A file that cannot be opened is gone already, or belongs to another user.
        with contextlib.suppress(FileNotFoundError, PermissionError), found.open("rb") as stream:
            locked = lock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if locked or (locked is None and time.time() - os.fstat(stream.fileno()).st_mtime > _DAY):
                found.unlink()


def is_stale(path: Path, *, age: float = _DAY) -> bool:
    """Whether a file is what a killed copy left: not touched for so many seconds, and locked by no writer.

    The time of the last change of its record counts, because a copy may have
    its source's time of modification.
    """
    if not has_temporary_name(path.name):
        return False
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or time.time() - status.st_ctime <= age:
            return False
        with path.open("rb") as stream:
            # Where there are no locks, age decides.
            return lock(stream.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB) is not False
    except FileNotFoundError:
        return False
