"""FITS files, local or remote, opened so that only the bytes that are used are read."""

from __future__ import annotations

__all__ = ("open_fits",)

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from lsst.resources import ResourcePath

from ..formats.fits.byte_ranges import RangeReader, UnzippedRanges
from ..formats.fits.file import FitsFile, open_local_fits
from .remote import NoRangesError, remote_ranges


@contextmanager
def open_fits(uri: ResourcePath, size: int | None = None) -> Iterator[FitsFile]:
    """Give a FITS file, local or remote, gzipped or not; ``size`` in bytes is that of a remote one, if known."""
    name = repr(str(uri))
    if uri.isLocal:
        with open_local_fits(uri.ospath, name) as file:
            yield file
    elif uri.getExtension().endswith(".gz"):
        content = uri.read()
        yield FitsFile(UnzippedRanges(io.BytesIO(content), len(content), name), None, name)
    else:
        with ExitStack() as stack:
            yield FitsFile(_RangesOrStream(uri, size, stack), size, name, remote=True)


class _RangesOrStream:
    """Reads byte ranges of a remote file by requests for them, or from a stream where the server knows no ranges."""

    def __init__(self, uri: ResourcePath, size: int | None, stack: ExitStack) -> None:
        self._uri, self._size, self._stack = uri, size, stack
        self._read: RangeReader | None = None

    @property
    def size(self) -> int | None:
        """Bytes in the file, as far as is known."""
        return getattr(self._read, "size", self._size)

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the bytes of each range."""
        if self._read is None:
            try:
                reader = remote_ranges(self._uri, self._size)
                found = reader(ranges)
            except NoRangesError:
                reader = partial(_read_stream, self._stack.enter_context(self._uri.open("rb")))
                found = reader(ranges)
            self._read = reader
            return found
        return self._read(ranges)


def _read_stream(stream: Any, ranges: Sequence[tuple[int, int]]) -> list[Any]:
    return [_read_at(stream, start, stop) for start, stop in ranges]


def _read_at(stream: Any, start: int, stop: int) -> bytes:
    stream.seek(start)
    data: bytes = stream.read(stop - start)
    return data
