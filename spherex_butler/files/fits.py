"""FITS files, local or remote, opened so that only the bytes that are used are read."""

from __future__ import annotations

__all__ = ("open_fits",)

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from lsst.resources import ResourcePath

from ..formats.fits.byte_ranges import RangeReader, unzipped_ranges
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
        yield FitsFile(*unzipped_ranges(uri.read(), name), name)
    else:
        with ExitStack() as stack:
            yield FitsFile(_ranges(uri, size, stack), size, name, remote=True)


def _ranges(uri: ResourcePath, size: int | None, stack: ExitStack) -> RangeReader:
    """Return a reader of byte ranges: of requests for ranges, or of a stream where there are none."""
    streams: list[Any] = []

    def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
        if not streams:
            try:
                return remote_ranges(uri, size)(ranges)
            except NoRangesError:
                streams.append(stack.enter_context(uri.open("rb")))
        return [_read_at(streams[0], start, stop) for start, stop in ranges]

    return read_ranges


def _read_at(stream: Any, start: int, stop: int) -> bytes:
    stream.seek(start)
    data: bytes = stream.read(stop - start)
    return data
