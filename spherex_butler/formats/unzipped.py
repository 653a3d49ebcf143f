"""How much may come out of a gzipped table: far less than gzip can make of a few bytes."""

from __future__ import annotations

__all__ = ("BoundedReader", "ByteBudget")

import io
from typing import BinaryIO

from ..errors import FormatError

_SMALLEST = 1 << 28
"""Bytes that any file may hold …"""

_RATIO = 200
"""… and beyond which they are this many times its size at most: tables shrink to a tenth, gzip makes 1,030 of 1."""


class ByteBudget:
    """How many bytes may come out of a file of so many bytes.

    Parameters
    ----------
    size
        The size of the file, which may be gzipped.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._limit = max(_SMALLEST, _RATIO * size)
        self.spent = 0
        """Bytes that came out so far."""

    def spend(self, count: int) -> None:
        """Count bytes that came out.

        Raises
        ------
        FormatError
            Raised if there are more than the file's size lets expect.
        """
        self.spent += count
        if self.spent > self._limit:
            raise FormatError(
                f"The file has {self._size:,} bytes, but unzipped more than {self._limit:,}; expected a table that "
                f"gzip makes at most {_RATIO} times smaller. Unzip it yourself if you trust it."
            )


class BoundedReader(io.RawIOBase):
    """Reads a stream of unzipped bytes within a `ByteBudget`.

    Parameters
    ----------
    plain
        The unzipped bytes; closed with the reader.
    size
        The size of the zipped file in bytes.
    """

    def __init__(self, plain: BinaryIO, size: int) -> None:
        self._plain, self._budget = plain, ByteBudget(size)

    def readable(self) -> bool:
        """Return `True`."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, of which there may be ``size``."""
        data = self._plain.read(size)
        self._budget.spend(len(data))
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
