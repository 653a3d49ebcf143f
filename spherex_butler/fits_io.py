"""FITS files by byte ranges: where each HDU lies, and planes, strips and tables read alone.

A FITS file is a sequence of HDUs, each a header of 2880-byte blocks of
80-character cards followed by data padded to whole blocks (FITS standard 4.0,
section 3).  The headers alone give the place of every byte of data, so a plane
or a strip of rows is one range, of a local file or of an object in a store.
Cards, tables and tile compression are astropy's; only the places are ours.
"""

from __future__ import annotations

__all__ = ("FitsFile", "HduInfo", "RangeReader", "local_ranges")

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from .boxes import Box
from .errors import FormatError
from .lazy_header import CARD, find_card

BLOCK = 2880
_END = b"END" + b" " * 77
_HEADER_CHUNK = 16 * BLOCK  # holds any header of a Level 2 file, the longest being that of the PSF
_HEADER_LIMIT = 1024 * BLOCK
_SCALING = ("BZERO", "BSCALE", "BLANK")


class RangeReader(Protocol):
    """Something that reads byte ranges of one file."""

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the bytes of each ``(start, stop)`` as a buffer; one that passes the file's end is shorter."""


@contextmanager
def local_ranges(path: str | os.PathLike[str]) -> Iterator[tuple[RangeReader, int]]:
    """Give a reader of byte ranges of a local file, and the file's size.

    The buffers are memory of their own, writable, and outlive the file.
    """
    with Path(path).open("rb", buffering=0) as stream:
        descriptor = stream.fileno()

        def read_ranges(ranges: Sequence[tuple[int, int]]) -> list[Any]:
            return [_read_range(descriptor, start, stop) for start, stop in ranges]

        yield read_ranges, os.fstat(descriptor).st_size


def _read_range(descriptor: int, start: int, stop: int) -> NDArray[np.uint8]:
    buffer = np.empty(stop - start, dtype=np.uint8)
    view = buffer.data
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], start + done)
        if count == 0:
            return buffer[:done]
        done += count
    return buffer


@dataclass(frozen=True)
class HduInfo:
    """One HDU: its header, and where its data are.

    Parameters
    ----------
    index
        Number of the HDU in the file.
    text
        The header's cards as bytes, without the END card and padding.
    header_offset, data_offset
        First byte of the header and of the data.
    """

    index: int
    text: bytes
    header_offset: int
    data_offset: int

    def value(self, keyword: str, default: Any = None) -> Any:
        """Return the value of one card."""
        card = find_card(self.text, keyword)
        try:
            return default if card is None else card.value
        except fits.VerifyError as error:
            raise FormatError(f"HDU number {self.index} has a card {keyword} that cannot be read: {error}") from error

    @cached_property
    def name(self) -> str:
        """``EXTNAME``, or ``PRIMARY`` for a nameless first HDU."""
        default = "PRIMARY" if self.index == 0 else ""
        return str(self.value("EXTNAME", default)).strip().upper()

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """Lengths of the data's axes as stored, fastest first."""
        return self._lengths("NAXIS")

    @cached_property
    def is_table(self) -> bool:
        """Whether it is a table, other than a compressed image."""
        return not self.is_compressed and str(self.value("XTENSION", "IMAGE")).strip() != "IMAGE"

    @cached_property
    def is_compressed(self) -> bool:
        """Whether it is a tile-compressed image stored as a binary table."""
        return bool(self.value("ZIMAGE", False))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Array shape of the image."""
        return self._lengths("ZNAXIS")[::-1] if self.is_compressed else self.axes[::-1]

    def _lengths(self, keyword: str) -> tuple[int, ...]:
        count = self.value(keyword, 0)
        if not isinstance(count, int) or not 0 <= count < 1000:
            raise FormatError(f"HDU {self.name!r} has {keyword}={count!r}; expected a number of axes.")
        axes = tuple(self.value(f"{keyword}{n + 1}") for n in range(count))
        if any(not isinstance(length, int) or length < 0 for length in axes):
            raise FormatError(f"HDU {self.name!r} has axes {axes}; expected {keyword}={count} lengths.")
        return axes

    @cached_property
    def item_size(self) -> int:
        """Bytes of one element of the data as stored."""
        bitpix = self.value("BITPIX")
        if bitpix not in fits.BITPIX2DTYPE:
            raise FormatError(f"HDU {self.name!r} has BITPIX={bitpix!r}; expected one of {[*fits.BITPIX2DTYPE]}.")
        return int(abs(bitpix)) // 8

    @cached_property
    def data_size(self) -> int:
        """Bytes of data, without padding."""
        if not self.axes:
            return 0
        elements, groups = self.value("PCOUNT", 0), self.value("GCOUNT", 1)
        if not (isinstance(elements, int) and isinstance(groups, int) and elements >= 0 and groups >= 0):
            raise FormatError(f"HDU {self.name!r} has PCOUNT={elements!r}, GCOUNT={groups!r}; expected whole numbers.")
        return self.item_size * groups * (elements + math.prod(self.axes))

    @property
    def end(self) -> int:
        """First byte after the padded data."""
        return self.data_offset + -(-self.data_size // BLOCK) * BLOCK


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

    Notes
    -----
    HDUs are looked for as they are asked for, so a header near the start
    costs one range however long the file is.
    """

    def __init__(self, read_ranges: RangeReader, size: int | None, name: str = "the file") -> None:
        self._read_ranges = read_ranges
        self._size = size
        self._name = name
        self._hdus: list[HduInfo] = []
        self._window = (0, b"")  # the last piece read in search of headers, and where it begins

    def hdus(self) -> list[HduInfo]:
        """Return every HDU of the file."""
        while self._walk() is not None:
            pass
        return list(self._hdus)

    def find(self, name: str) -> HduInfo | None:
        """Return the first HDU of that name, or `None`."""
        for info in self._hdus:
            if info.name == name:
                return info
        while (found := self._walk()) is not None:
            if found.name == name:
                return found
        return None

    def __getitem__(self, name: str) -> HduInfo:
        info = self.find(name)
        if info is None:
            raise FormatError(f"{self._name} has no HDU {name!r}; it has {[h.name for h in self._hdus]}.")
        return info

    def image(self, info: HduInfo, box: Box | None = None) -> NDArray[Any]:
        """Return an image, native-endian, or the part of a two-dimensional one in ``box``.

        Only the strip of rows that holds the box is read, or the tiles that hold it.

        Raises
        ------
        FormatError
            Raised if the HDU is no image, of two axes for a ``box``, or its data are cut short or spoilt.
        """
        if len(info.shape) < 2 or (box is not None and len(info.shape) > 2) or info.is_table:
            raise FormatError(f"HDU {info.name!r} has shape {info.shape}; expected an image.")
        if info.is_compressed:
            return self._compressed_image(info, box)
        if box is None:
            return self._plain_image(info, info.shape, info.data_offset)
        width = info.axes[0] * info.item_size
        rows, columns = box.slices
        shape = (rows.stop - rows.start, info.axes[0])
        strip = self._plain_image(info, shape, info.data_offset + rows.start * width)
        # A copy, so that a small cutout does not keep its strip alive.
        return np.ascontiguousarray(strip[:, columns])

    def table(self, info: HduInfo) -> fits.FITS_rec:
        """Return the rows of a binary table, in memory of their own."""
        (data,) = self.read([(info.data_offset, info.data_offset + info.data_size)], info)
        try:
            return _hdu_from_bytes(fits.BinTableHDU, info.text, data).data
        except (ValueError, TypeError, KeyError, fits.VerifyError) as error:
            raise FormatError(f"HDU {info.name!r} is no binary table: {error}") from error

    def read(self, ranges: Sequence[tuple[int, int]], info: HduInfo) -> list[Any]:
        """Return byte ranges of an HDU's data.

        Raises
        ------
        FormatError
            Raised if the file ends before them.
        """
        stop = max(end for _, end in ranges)
        buffers = [] if self._size is not None and stop > self._size else self._read_ranges(ranges)
        if [len(buffer) for buffer in buffers] != [end - start for start, end in ranges]:
            size = "fewer" if self._size is None else f"{self._size}"
            raise FormatError(
                f"{self._name} is truncated in HDU {info.name!r}: it has {size} bytes; expected at least {stop}."
            )
        return buffers

    def check_complete(self) -> None:
        """Check that the file holds all the data its headers announce, whole blocks of them.

        Raises
        ------
        FormatError
            Raised if it ends before.
        """
        last = self.hdus()[-1]
        if self._size is not None and last.end > self._size:
            raise FormatError(
                f"{self._name} is truncated in HDU {last.name!r}: it has {self._size} bytes; expected {last.end}."
            )

    def _walk(self) -> HduInfo | None:
        start = self._hdus[-1].end if self._hdus else 0
        if self._size is not None and start >= self._size and self._hdus:
            return None
        text = self._header_text(start)
        if text is None:
            return None
        info = HduInfo(len(self._hdus), text, start, start + _blocks(len(text) + CARD))
        self._hdus.append(info)
        return info

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
        """Return bytes that hold a header, from the piece read last if it is all there."""
        begin, piece = self._window
        if length == _HEADER_CHUNK and begin <= start and _find_end(piece[start - begin :]) is not None:
            return piece[start - begin :]
        stop = start + length if self._size is None else min(start + length, self._size)
        (buffer,) = self._read_ranges([(start, max(start, stop))])
        self._window = (start, bytes(buffer))
        return self._window[1]

    def _plain_image(self, info: HduInfo, shape: tuple[int, ...], offset: int) -> NDArray[Any]:
        (data,) = self.read([(offset, offset + math.prod(shape) * info.item_size)], info)
        stored = np.dtype(fits.BITPIX2DTYPE[info.value("BITPIX")]).newbyteorder(">")
        if any(info.value(keyword) is not None for keyword in _SCALING):
            return _scaled_image(info, shape, data)
        return _to_native(np.frombuffer(data, dtype=stored).reshape(shape))

    def _compressed_image(self, info: HduInfo, box: Box | None) -> NDArray[Any]:
        if 0 in info.shape:
            raise FormatError(f"HDU {info.name!r} is compressed and has shape {info.shape}; expected pixels.")
        if len(info.shape) > 2:
            return _decompress(info, *self._table_rows(info, 0, info.axes[1]), {})
        strip = Box.of_shape(info.shape) if box is None else box
        tile_rows = info.value("ZTILE2", 1)
        tiles_across = -(-info.shape[1] // info.value("ZTILE1", info.shape[1]))
        first, last = strip.y_min // tile_rows, -(-strip.y_max // tile_rows)
        table = self._table_rows(info, first * tiles_across, last * tiles_across)
        stop = min(last * tile_rows, info.shape[0])
        cards = {"ZNAXIS2": stop - first * tile_rows}
        if (dither := info.value("ZDITHER0")) is not None:
            # Dithering is seeded by the tile's number (FITS standard 4.0, section 10.2).
            cards["ZDITHER0"] = (dither - 1 + first * tiles_across) % 10000 + 1
        image = _decompress(info, *table, cards)
        rows = slice(strip.y_min - first * tile_rows, strip.y_max - first * tile_rows)
        return np.ascontiguousarray(image[rows, strip.slices[1]])

    def _table_rows(self, info: HduInfo, first: int, last: int) -> tuple[NDArray[Any], Any]:
        """Return some rows of a tile table, and the heap that they and only they refer to."""
        width, heap_offset = info.axes[0], info.data_offset + info.value("THEAP", math.prod(info.axes))
        start, stop = info.data_offset + first * width, info.data_offset + last * width
        (data,) = self.read([(start, stop)], info)
        columns = fits.ColDefs(_hdu_from_bytes(fits.BinTableHDU, info.text, b"", NAXIS2=0, PCOUNT=0).columns)
        rows = np.frombuffer(bytearray(data), dtype=columns.dtype.newbyteorder(">"))
        size = info.value("PCOUNT", 0)
        descriptors = [rows[column.name] for column in columns if re.match(r"\d*[PQ]", column.format)]
        sizes = [_element_size(column.format) for column in columns if re.match(r"\d*[PQ]", column.format)]
        used = [(d[:, 1], d[:, 1] + d[:, 0] * size) for d, size in zip(descriptors, sizes, strict=True)]
        begin = min((int(s[e > s].min()) for s, e in used if np.any(e > s)), default=0)
        end = max((int(e[e > s].max()) for s, e in used if np.any(e > s)), default=0)
        if not 0 <= begin <= end <= size:
            raise FormatError(f"HDU {info.name!r} has tiles at bytes {begin} to {end} of a heap of {size}.")
        for descriptor in descriptors:
            descriptor[:, 1] = np.maximum(descriptor[:, 1] - begin, 0)
        (heap,) = self.read([(heap_offset + begin, heap_offset + end)], info)
        return rows, heap


def _find_end(block: bytes) -> int | None:
    """Return where the END card of a header begins, or `None` if it is not in the block."""
    end = block.find(_END)
    while end >= 0 and end % CARD:
        end = block.find(_END, end + 1)
    return None if end < 0 else end


def _blocks(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def _element_size(tform: str) -> int:
    """Bytes of one element of a variable-length column, from its TFORM such as ``1PB(96)``."""
    code = re.sub(r"^\d*[PQ]", "", tform)[0]
    return int(np.dtype(fits.column.FITS2NUMPY[code]).itemsize)


def _to_native(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values in this machine's byte order, in place where the memory is ours to change."""
    if array.dtype.isnative:
        return array
    swapped = array.byteswap(inplace=True) if array.flags.writeable else array.byteswap()
    return swapped.view(swapped.dtype.newbyteorder("="))


def _hdu_from_bytes(cls: Any, text: bytes, data: Any, **cards: Any) -> Any:
    header = fits.Header.fromstring(text)
    header.update(cards)
    return cls.fromstring(header.tostring().encode("ascii") + bytes(data))


def _scaled_image(info: HduInfo, shape: tuple[int, ...], data: Any) -> NDArray[Any]:
    cards = {f"NAXIS{n + 1}": length for n, length in enumerate(shape[::-1])}
    cls = fits.PrimaryHDU if info.index == 0 else fits.ImageHDU
    return _to_native(np.asarray(_hdu_from_bytes(cls, info.text, data, **cards).data))


def _decompress(info: HduInfo, rows: NDArray[Any], heap: Any, cards: Mapping[str, int]) -> NDArray[Any]:
    changed = {"NAXIS2": len(rows), "PCOUNT": len(heap), **cards}
    if info.value("THEAP") is not None:
        changed["THEAP"] = rows.nbytes
    table = _hdu_from_bytes(fits.BinTableHDU, info.text, rows.tobytes() + bytes(heap), **changed)
    try:
        image = fits.CompImageHDU(bintable=table).data
    except Exception as error:  # whatever the decompressors make of spoilt bytes
        raise FormatError(f"HDU {info.name!r} holds tiles that do not decompress: {error!r}") from error
    return _to_native(np.asarray(image))
