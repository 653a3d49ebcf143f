"""Whether two files are the same: told quickly by their sizes and ends, or surely by every byte."""

from __future__ import annotations

__all__ = ("quick_difference", "require_same_bytes", "same_bytes")

import filecmp
import os
from pathlib import Path

from lsst.resources import ResourcePath

from ..errors import FormatError

_COMPARED = 1 << 16  # bytes at either end of a file, where its headers and a part of its tables are


def quick_difference(
    source: ResourcePath, size: int | None, *, other: ResourcePath, recorded: int | None
) -> str | None:
    """Return how a file differs from another, as far as can be seen without a request; `None` if no way is seen.

    Sizes are compared, and of two local files the first and last bytes:
    Level 2 files without compression are all of one size.  ``size`` is that of
    the source and ``recorded`` what the other had when it was looked at, in
    bytes; `None` where nobody knows.
    """
    if recorded is None and other.isLocal:
        recorded = other.size()
    if None not in {size, recorded} and size != recorded:
        return f"of {recorded} bytes instead of {size}"
    if source.isLocal and other.isLocal and not _same_ends(source.ospath, other.ospath):
        return "with other content"
    return None


def _same_ends(first: str, second: str) -> bool:
    try:
        return Path(first).samefile(second) or _ends(first) == _ends(second)
    except FileNotFoundError:  # a move by another process, which made one the other
        return True


def _ends(path: str) -> tuple[bytes, bytes]:
    with Path(path).open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        return os.pread(stream.fileno(), _COMPARED, 0), os.pread(stream.fileno(), _COMPARED, max(0, size - _COMPARED))


def same_bytes(source: ResourcePath, target: ResourcePath) -> bool:
    """Whether two files have the same content, every byte of it."""
    if source == target:
        return True
    if source.isLocal and target.isLocal and Path(source.ospath).samefile(target.ospath):
        return True
    if source.size() != target.size():
        return False
    # Level 2 files without compression are all of one size.
    with source.as_local() as first, target.as_local() as second:
        return filecmp.cmp(first.ospath, second.ospath, shallow=False)


def require_same_bytes(source: ResourcePath, target: ResourcePath) -> None:
    """Refuse a target that holds other content."""
    if not same_bytes(source, target):
        raise FormatError(f"{str(target)!r} is there already with other content; nothing was overwritten.")
