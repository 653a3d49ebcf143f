"""The rule that only regular files are opened: to open a FIFO waits for its writer, to read a device never ends."""

from __future__ import annotations

__all__ = ("require_regular",)

import os
import stat
from pathlib import Path

from ..errors import FormatError

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def require_regular(path: str | os.PathLike[str], name: str = "") -> None:
    """Refuse what is no regular file, or link to one; what is not there raises `FileNotFoundError`."""
    mode = Path(path).stat().st_mode
    if not stat.S_ISREG(mode):
        found = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise FormatError(f"{name or repr(os.fspath(path))} is {found}; expected a regular file. Save it as one first.")
