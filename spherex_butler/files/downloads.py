"""Whole remote files, piece by piece: what fails is asked for again, and a file cut off is never taken for whole."""

from __future__ import annotations

__all__ = ("download",)

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lsst.resources import ResourcePath

from ..errors import FormatError
from ..formats.fits.file import RangeReader

_PIECE = 8 << 20  # bytes of a request …
_AT_ONCE = 4  # … and how many of these are under way, and in memory


def download(source: ResourcePath, path: Path) -> None:
    """Write the content of a remote file to a local one that is there.

    Raises
    ------
    FormatError
        Raised if another number of bytes came than the server has.
    """
    size = source.size()
    try:
        # Needs an extra, without which Butler's own download still works.
        from .remote import NoRangesError, remote_ranges  # noqa: PLC0415
    except ImportError:
        _download_whole(source, path)
    else:
        try:
            _download_pieces(remote_ranges(source, size), size, path)
        except NoRangesError:
            _download_whole(source, path)
    if path.stat().st_size != size:
        raise FormatError(f"Of {str(source)!r} {path.stat().st_size} bytes came; expected {size}.")


def _download_whole(source: ResourcePath, path: Path) -> None:
    with source.as_local() as local:
        shutil.copyfile(local.ospath, path)


def _download_pieces(read_ranges: RangeReader, size: int, path: Path) -> None:
    with path.open("wb") as stream:
        pieces = _pieces(size)
        while some := list(islice(pieces, _AT_ONCE)):
            for data in read_ranges(some):
                stream.write(data)


def _pieces(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + _PIECE, size)) for start in range(0, size, _PIECE))
