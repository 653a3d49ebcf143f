"""Byte ranges of what a gzipped file holds: some of the archive's products come as ``.fits.gz``."""

from __future__ import annotations

__all__ = ("is_gzipped", "unzipped_ranges")

import gzip
import zlib
from collections.abc import Sequence
from typing import Any

from ...errors import FormatError
from .file import RangeReader

_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1


def is_gzipped(start: bytes) -> bool:
    """Return whether a file that begins with these bytes, two or more, is gzipped."""
    return bytes(start[:2]) == _MAGIC


def unzipped_ranges(content: bytes, name: str = "the file") -> tuple[RangeReader, int]:
    """Return a reader of byte ranges of the unzipped content, and its size.

    Parameters
    ----------
    content
        The gzipped file.
    name
        What to call it in errors.

    Raises
    ------
    FormatError
        Raised if it is cut off or spoilt.
    """
    try:
        plain = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(f"{name} is gzipped and cannot be unzipped: {error}; get it again.") from error

    def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        return [plain[start:stop] for start, stop in ranges]

    return read_ranges, len(plain)
