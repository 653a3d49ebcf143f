"""FITS files read by byte ranges: HDUs are found by their headers, and planes, strips of rows and tables read alone.

A FITS file is a sequence of HDUs, each a header of 2880-byte blocks of
80-character cards followed by data padded to whole blocks (FITS standard 4.0,
section 3).  The headers alone give the place of every byte of data, so a plane
or a strip of rows is one range, of a local file or of an object in a store.
Cards, tables and tile compression are astropy's; only the places are ours.
"""

from __future__ import annotations

__all__ = ("FitsFile", "open_local_fits")

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ...errors import FormatError
from ..regular import require_regular
from .boxes import Box
from .byte_ranges import GZIP_MAGIC, LARGE, LocalRanges, RangeReader, UnzippedRanges
from .hdu import BLOCK, HduInfo, hdu_from_bytes, to_native, whole_blocks
from .lazy_header import CARD
from .tile_reading import TileStrip, decompress

_END = b"END" + b" " * 77
_HEADER_CHUNK = 16 * BLOCK  # holds any header of a Level 2 file, the longest being that of the PSF
_HEADER_LIMIT = 1024 * BLOCK
_TAIL = 8 * BLOCK  # holds the wavelength table that ends a Level 2 file
_SMALL = 32 * BLOCK  # holds what is read to find headers, and the tables of compressed tiles
_SCALING = ("BZERO", "BSCALE", "BLANK")


@contextmanager
def open_local_fits(path: str | os.PathLike[str], name: str = "The file") -> Iterator[FitsFile]:
    """Give a local FITS file, gzipped or not.

    Parameters
    ----------
    path
        The file.
    name
        What to call it in errors.

    Raises
    ------
    FormatError
        Raised if it is no regular file, or gzipped and truncated or damaged.
    """
    require_regular(path, name)
    with Path(path).open("rb", buffering=0) as stream:
        read_ranges, size = LocalRanges(stream.fileno()), os.fstat(stream.fileno()).st_size
        if read_ranges([(0, len(GZIP_MAGIC))]) == [GZIP_MAGIC]:
            yield FitsFile(UnzippedRanges(stream, size, name), None, name)
        else:
            yield FitsFile(read_ranges, size, name)


class FitsFile:
    """A FITS file whose HDUs are found, and their data read, by byte ranges.

    Parameters
    ----------
    read_ranges
        Reads the file's bytes.
    size
        The file's size in bytes, or `None` where finding out would cost a request.
    name
        What to call the file in errors.
    remote
        Whether every read is a request, so that it pays to read ahead.

    Notes
    -----
    HDUs are looked for as they are asked for, so a header near the start
    costs one range however long the file is.
    """

    def __init__(
        self, read_ranges: RangeReader, size: int | None, name: str = "The file", *, remote: bool = False
    ) -> None:
        self.remote = remote
        self._read_ranges = read_ranges
        self._size = size
        self._name = name
        self._hdus: list[HduInfo] = []
        self._pieces: list[tuple[int, Any]] = []  # read ahead, with the byte at which each begins
        self._kept: list[tuple[int, Any]] | None = None  # of these, what `forget_pixels` leaves

    @property
    def size(self) -> int | None:
        """The file's size in bytes: as given, or as its reader found out meanwhile."""
        return getattr(self._read_ranges, "size", None) if self._size is None else self._size

    def reopened(self) -> FitsFile:
        """Return the same file, of which nothing is kept but where its HDUs are, as far as that is known."""
        again = FitsFile(self._read_ranges, self.size, self._name, remote=self.remote)
        again._hdus = list(self._hdus)
        return again

    def forget_pixels(self) -> None:
        """Forget what was read ahead, but for small pieces of the first part that was read: headers and tables.

        So of a file that many parts are read of one after another, memory holds little, and the later parts take
        fewer requests than the first.
        """
        if self._kept is None:
            self._kept = [piece for piece in self._pieces if len(piece[1]) <= _SMALL]
        self._pieces = list(self._kept)

    def hdus(self) -> list[HduInfo]:
        """Return every HDU of the file."""
        return list(self._each())

    @property
    def primary(self) -> HduInfo:
        """The first HDU."""
        return next(self._each())

    def find(self, name: str) -> HduInfo | None:
        """Return the first HDU of that name, or `None`."""
        return next((info for info in self._each() if info.name == name), None)

    def __getitem__(self, name: str) -> HduInfo:
        info = self.find(name)
        if info is None:
            raise FormatError(f"{self._name} has no HDU {name!r}; it has {[h.name for h in self._hdus]}.")
        return info

    def find_last(self, name: str) -> HduInfo | None:
        """Return the HDU of that name, looked for at the file's end first, or `None`.

        A small last HDU is found by one range there, without the headers
        before it.
        """
        for start, stop in self.tail_ranges():
            self.prefetch([(start, stop)])
            tail = self._from_pieces(start, stop) or b""
            at = max((n for n in range(0, len(tail), BLOCK) if tail[n : n + 9] == b"XTENSION="), default=None)
            if at is not None and (end := _find_end(tail[at:])) is not None:
                info = HduInfo(-1, tail[at : at + end], start + at, start + at + whole_blocks(end + CARD))
                if info.name == name and info.end == stop:
                    return info
        return self.find(name)

    def tail_ranges(self) -> list[tuple[int, int]]:
        """Return the byte ranges that `find_last` will read, if the file's size is known."""
        if self.size is None or self.size % BLOCK:
            return []
        return [(max(0, self.size - _TAIL), self.size)]

    def image(self, info: HduInfo, box: Box | None = None) -> NDArray[Any]:
        """Return an image, native-endian, or the part of a two-dimensional one in ``box``.

        Only the strip of rows that holds the box is read, or the tiles that hold it.

        Raises
        ------
        FormatError
            Raised if the HDU is not an image, or not of two axes where a ``box`` is
            given, or its data are truncated or damaged.
        """
        if not info.shape or (box is not None and len(info.shape) != 2) or info.is_table:
            raise FormatError(f"HDU {info.name!r} has shape {info.shape}; expected an image.")
        if info.is_compressed:
            if box is None or 0 in info.shape:
                return decompress(info, *self.read([info.span], info))
            strip = TileStrip(info, box)
            rows, heap = strip.locate(*self.read([strip.table_range], info))
            return strip.decompress(rows, *self.read([heap], info))
        pixels = self._plain_image(info, info.shape if box is None else (box.shape[0], info.axes[0]), box)
        # A copy, so that a small cutout does not keep its strip alive.
        return pixels if box is None else np.ascontiguousarray(pixels[:, box.slices[1]])

    def ranges(self, info: HduInfo, box: Box | None = None) -> list[tuple[int, int]]:
        """Return the bytes that `image` will read, as far as what was read already tells."""
        if not info.is_compressed:
            return [_plain_range(info, box)]
        if box is None:
            return [info.span]
        strip = TileStrip(info, box)
        if (table := self._from_pieces(*strip.table_range)) is None:
            return [strip.table_range]
        return [strip.table_range, strip.locate(table)[1]]

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Read byte ranges now, all at once, that later calls will need.

        A range may be a guess: one that passes the file's end is cut short,
        and nothing depends on what was not needed.
        """
        end = math.inf if self.size is None else self.size
        wanted = [(start, int(min(stop, end))) for start, stop in ranges]
        missing = [(start, stop) for start, stop in wanted if start < stop and self._held(start, stop) is None]
        if missing:
            found = self._read_ranges(missing)
            self._pieces += [(start, buffer) for (start, _), buffer in zip(missing, found, strict=True)]

    def table(self, info: HduInfo) -> fits.FITS_rec:
        """Return the rows of a binary table, in memory of their own."""
        (data,) = self.read([(info.data_offset, info.data_offset + info.data_size)], info)
        try:
            return hdu_from_bytes(fits.BinTableHDU, info.text, data).data
        except Exception as error:  # astropy checks little of what it goes by
            raise FormatError(f"HDU {info.name!r} is not a binary table: {error}") from error

    def read(self, ranges: Sequence[tuple[int, int]], info: HduInfo) -> list[Any]:
        """Return byte ranges of an HDU's data.

        Raises
        ------
        FormatError
            Raised if the file ends before them.
        """
        stop = max(end for _, end in ranges)
        self._check_within(stop, info)
        known = [self._from_pieces(start, end) for start, end in ranges]
        missing = [span for span, piece in zip(ranges, known, strict=True) if piece is None]
        fetched = iter(self._read_ranges(missing) if missing else ())
        buffers = [next(fetched) if piece is None else piece for piece in known]
        if [len(buffer) for buffer in buffers] != [end - start for start, end in ranges]:
            raise self._truncated(stop, info)
        return buffers

    def check_complete(self, *, padded: bool = True) -> None:
        """Check that the file holds all the data that its headers announce.

        Parameters
        ----------
        padded
            Whether the last data have to be padded to whole blocks, as the
            standard demands.

        Raises
        ------
        FormatError
            Raised if the file ends earlier.
        """
        last = self.hdus()[-1]
        self._check_within(last.end if padded else last.span[1], last)

    def _each(self) -> Iterator[HduInfo]:
        """Give one HDU after the other, reading no further than the caller looks."""
        number = 0
        while number < len(self._hdus) or self._find_next():
            yield self._hdus[number]
            number += 1

    def _find_next(self) -> bool:
        """Look for one more HDU; return whether there is one."""
        start = self._hdus[-1].end if self._hdus else 0
        if self.size is not None and start >= self.size and self._hdus:
            return False
        text = self._header_text(start)
        if text is None:
            return False
        self._hdus.append(HduInfo(len(self._hdus), text, start, start + whole_blocks(len(text) + CARD)))
        return True

    def _header_text(self, start: int) -> bytes | None:
        """Return the cards of the header at ``start``, or `None` at the file's end."""
        block = self._piece(start, _HEADER_CHUNK)
        if not block and self._hdus:
            return None
        if block[:9] not in {b"SIMPLE  =", b"XTENSION="}:
            what = f"HDU number {len(self._hdus)}" if self._hdus else "a FITS file"
            raise FormatError(f"{self._name} has {block[:9]!r} at byte {start}; expected the start of {what}.")
        while (end := _find_end(block)) is None and len(block) < _HEADER_LIMIT:
            longer = self._piece(start, 4 * len(block))
            if len(longer) == len(block):
                break
            block = longer
        if end is None:
            raise FormatError(f"{self._name} is truncated: the header at byte {start} has no END card.")
        return block[:end]

    def _piece(self, start: int, length: int) -> bytes:
        """Return bytes that hold a header, from a piece that was read ahead if one holds all of it."""
        for begin, piece in self._pieces if length == _HEADER_CHUNK else ():
            ahead = bytes(piece[start - begin :][:_HEADER_CHUNK]) if begin <= start < begin + len(piece) else b""
            if _find_end(ahead) is not None:
                return ahead
        stop = start + length if self.size is None else min(start + length, self.size)
        (buffer,) = self._read_ranges([(start, max(start, stop))])
        self._pieces.append((start, buffer))
        return bytes(buffer)

    def _from_pieces(self, start: int, stop: int) -> bytes | None:
        """Return bytes that were read ahead, or `None`."""
        held = self._held(start, stop)
        # A copy, because a caller may swap the bytes in place.
        return None if held is None else bytes(held[1][start - held[0] : stop - held[0]])

    def _held(self, start: int, stop: int) -> tuple[int, Any] | None:
        """Return the piece that was read ahead and holds these bytes, and where it begins; `None` if no piece does."""
        return next((p for p in self._pieces if p[0] <= start and stop <= p[0] + len(p[1])), None)

    def _plain_image(self, info: HduInfo, shape: tuple[int, ...], box: Box | None) -> NDArray[Any]:
        span = _plain_range(info, box)
        stored = np.dtype(fits.BITPIX2DTYPE[info.value("BITPIX")]).newbyteorder(">")
        if any(info.value(keyword) is not None for keyword in _SCALING):
            return _scaled_image(info, shape, *self.read([span], info))
        if isinstance(self._read_ranges, LocalRanges) and span[1] - span[0] >= LARGE:
            self._check_within(span[1], info)
            return self._read_ranges.pixels(span[0], stored, math.prod(shape)).reshape(shape)
        (data,) = self.read([span], info)
        return to_native(np.frombuffer(data, dtype=stored).reshape(shape))

    def _check_within(self, stop: int, info: HduInfo) -> None:
        if self.size is not None and stop > self.size:
            raise self._truncated(stop, info)

    def _truncated(self, stop: int, info: HduInfo) -> FormatError:
        size = "fewer" if self.size is None else f"{self.size}"
        return FormatError(
            f"{self._name} is truncated in HDU {info.name!r}: it has {size} bytes; expected at least {stop}; "
            "get it again from where it came from."
        )


def _plain_range(info: HduInfo, box: Box | None) -> tuple[int, int]:
    """Return the bytes of an uncompressed image, or of the rows that hold a box."""
    if box is None:
        return info.data_offset, info.data_offset + math.prod(info.shape) * info.item_size
    width = info.axes[0] * info.item_size
    return info.data_offset + box.y_min * width, info.data_offset + box.y_max * width


def _find_end(block: bytes) -> int | None:
    """Return where the END card of a header begins, or `None` if it is not in the block."""
    end = block.find(_END)
    while end >= 0 and end % CARD:
        end = block.find(_END, end + 1)
    return None if end < 0 else end


def _scaled_image(info: HduInfo, shape: tuple[int, ...], data: Any) -> NDArray[Any]:
    cards = {f"NAXIS{n + 1}": length for n, length in enumerate(shape[::-1])}
    cls = fits.PrimaryHDU if info.index == 0 else fits.ImageHDU
    try:
        return to_native(np.asarray(hdu_from_bytes(cls, info.text, data, **cards).data))
    except Exception as error:  # astropy checks little of what it goes by
        found = {keyword: info.value(keyword) for keyword in _SCALING}
        raise FormatError(f"HDU {info.name!r} cannot be scaled by {found}: {error}") from error
