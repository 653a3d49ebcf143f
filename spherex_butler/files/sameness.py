"""Whether two files of an image are the same, as far as can be told quickly."""

from __future__ import annotations

__all__ = ("difference",)

import os
from pathlib import Path

from lsst.resources import ResourcePath

_COMPARED = 1 << 16  # bytes at either end of a file, where its headers and a part of its tables are


def difference(source: ResourcePath, size: int | None, other: ResourcePath, recorded: int | None) -> str | None:
    """Return in what a file differs from another, `None` if in nothing, as far as can be seen without a request.

    Sizes are compared, and of two local files the first and last bytes:
    Level 2 files without compression are all of one size.

    Parameters
    ----------
    source
        The file at hand.
    size
        Its size in bytes, `None` where that is not known.
    other
        The other file.
    recorded
        Its size when it was looked at, `None` where nobody did.
    """
    if recorded is None and other.isLocal:
        recorded = other.size()
    if None not in {size, recorded} and size != recorded:
        return f"of {recorded} bytes instead of {size}"
    if source.isLocal and other.isLocal and not _look_alike(source.ospath, other.ospath):
        return "with other content"
    return None


def _look_alike(first: str, second: str) -> bool:
    try:
        return Path(first).samefile(second) or _ends(first) == _ends(second)
    except FileNotFoundError:  # a move by another process, which made one the other
        return True


def _ends(path: str) -> tuple[bytes, bytes]:
    with Path(path).open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        return os.pread(stream.fileno(), _COMPARED, 0), os.pread(stream.fileno(), _COMPARED, max(0, size - _COMPARED))
