"""Byte ranges of a file wherever it is, for reading little of it: headers."""

from __future__ import annotations

__all__ = ("open_ranges",)

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lsst.resources import ResourcePath

from ..formats.fits.file import RangeReader, local_ranges


@contextmanager
def open_ranges(uri: ResourcePath) -> Iterator[tuple[RangeReader, int | None]]:
    """Give a reader of byte ranges of a file, and its size where that is known without asking.

    Of a remote file each range is a request of its own; what needs many at
    once uses `spherex_butler.files.remote`.
    """
    if uri.isLocal:
        with local_ranges(uri.ospath) as local:
            yield local
        return
    with uri.open("rb") as stream:

        def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
            return [_read_at(stream, start, stop) for start, stop in ranges]

        yield read_ranges, None


def _read_at(stream: Any, start: int, stop: int) -> bytes:
    stream.seek(start)
    data: bytes = stream.read(stop - start)
    return data
