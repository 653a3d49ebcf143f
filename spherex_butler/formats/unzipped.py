"""How much may come out of a gzipped table: far less than gzip can make of a few bytes."""

from __future__ import annotations

__all__ = ("BoundedReader",)

import io
from typing import BinaryIO

from ..errors import FormatError

_SMALLEST = 1 << 28
"""Bytes that any file may hold …"""

_RATIO = 200
"""… and beyond which they are this many times its size at most: tables shrink to a tenth, gzip makes 1,030 of 1."""


class BoundedReader(io.RawIOBase):
    """Reads a stream of unzipped bytes up to a bound that follows from the size of what is zipped.

    Parameters
    ----------
    plain
        The unzipped bytes; closed with the reader.
    size
        The size of the zipped file in bytes.

    Raises
    ------
    FormatError
        Raised by `read` if more bytes come.
    """

    def __init__(self, plain: BinaryIO, size: int) -> None:
        self._plain, self._size = plain, size
        self._limit = max(_SMALLEST, _RATIO * size)
        self.count = 0
        """Bytes that were read."""

    def readable(self) -> bool:
        """Return `True`."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, of which there may be ``size``."""
        data = self._plain.read(size)
        self.count += len(data)
        if self.count > self._limit:
            raise FormatError(
                f"The file has {self._size:,} bytes, but unzipped more than {self._limit:,}; expected a table that "
                f"gzip makes at most {_RATIO} times smaller. Unzip it yourself if you trust it."
            )
        return data

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # what io calls it with
        """Read into a buffer, as `io.BufferedReader` does."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the unzipped stream, too."""
        self._plain.close()
        super().close()
