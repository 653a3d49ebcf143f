"""Byte ranges of local files, gzipped ones included."""

from __future__ import annotations

__all__ = ("GZIP_MAGIC", "LARGE", "LocalRanges", "RangeReader", "UnzippedRanges")

import gzip
import mmap
import os
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from .hdu import BLOCK

LARGE = 4 << 20
"""Bytes of pixels from which on `LocalRanges.pixels` is the faster way, and which it maps at a time."""

_UNZIPPED = 1 << 30
"""Bytes that a gzipped file may hold however small it is …"""

_RATIO = 20
"""… and beyond which they are this many times its size at most."""

_PIECE = 1 << 24

GZIP_MAGIC = b"\x1f\x8b"
"""What a gzipped file begins with (RFC 1952, section 2.3.1)."""


class RangeReader(Protocol):
    """Something that reads byte ranges of one file."""

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the bytes of each ``(start, stop)`` as a buffer; one that passes the file's end is shorter."""


class LocalRanges:
    """Reads byte ranges of an open local file, and large images in the fastest way we found."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the bytes of each range, in memory of their own that outlives the file."""
        return [self._read(start, stop) for start, stop in ranges]

    def _read(self, start: int, stop: int) -> bytes:
        data = os.pread(self._descriptor, stop - start, start)
        while len(data) < stop - start and (
            more := os.pread(self._descriptor, stop - start - len(data), start + len(data))
        ):
            data += more
        return data

    def pixels(self, start: int, stored: np.dtype[Any], count: int) -> NDArray[Any]:
        """Return values stored from byte ``start`` on, native-endian.

        They are copied and swapped in one pass from pieces of the file that
        are mapped into memory: reading first and swapping in place takes half
        as long again, and mapping a whole plane takes its size in memory twice.
        """
        values = np.empty(count, dtype=stored.newbyteorder("="))
        step = LARGE // stored.itemsize
        for first in range(0, count, step):
            number = min(step, count - first)
            offset = start + first * stored.itemsize
            page = offset - offset % mmap.ALLOCATIONGRANULARITY
            length = offset - page + number * stored.itemsize
            piece = mmap.mmap(self._descriptor, length, access=mmap.ACCESS_READ, offset=page)
            values[first : first + number] = np.frombuffer(piece, stored, number, offset - page)
        return values


class UnzippedRanges:
    """Reads byte ranges of what a gzipped file holds, unzipped as far as they are asked for.

    Parameters
    ----------
    zipped
        The file, open.
    size
        Its size in bytes, from which follows how much may come out of it.
    name
        What errors call the file.
    """

    def __init__(self, zipped: BinaryIO, size: int, name: str = "The file") -> None:
        self._stream = gzip.GzipFile(fileobj=zipped)
        self._limit = max(_UNZIPPED, _RATIO * size)
        self._name = name
        self._plain = bytearray()
        self.size: int | None = None
        """Bytes that the file holds, once all were unzipped."""

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the bytes of each range, in memory of their own."""
        self._unzip(max(stop for _, stop in ranges) + BLOCK)  # so that the end is met, and with it the checksum
        return [bytes(memoryview(self._plain)[start:stop]) for start, stop in ranges]

    def _unzip(self, stop: int) -> None:
        while self.size is None and len(self._plain) < stop:
            try:
                more = self._stream.read(min(stop - len(self._plain), _PIECE))
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise FormatError(f"{self._name} is gzipped and cannot be unzipped: {error}; get it again.") from error
            self._plain += more
            if not more:
                self.size = len(self._plain)
            if len(self._plain) > self._limit:
                raise FormatError(
                    f"{self._name} is gzipped and holds more than {self._limit:,} bytes, far more than its size lets "
                    "expect; unzip it yourself if you trust it."
                )
