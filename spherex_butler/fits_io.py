"""FITS files by byte ranges: where each HDU lies, and planes, strips and tables read alone.

A FITS file is a sequence of HDUs, each a header of 2880-byte blocks of
80-character cards followed by data padded to whole blocks (FITS standard 4.0,
section 3).  The headers alone give the place of every byte of data, so a plane
or a strip of rows is one range, of a local file or of an object in a store.
Cards, tables and tile compression are astropy's; only the places are ours.
"""

from __future__ import annotations

__all__ = ("FitsFile", "HduInfo", "LazyHeader", "RangeReader", "local_ranges")

import math
import os
import re
from collections.abc import Iterator, Sequence
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

BLOCK = 2880
CARD = 80
_END = b"END" + b" " * 77
_HEADER_CHUNK = 16 * BLOCK  # holds any header of a Level 2 file, the longest being that of the PSF
_HEADER_LIMIT = 1024 * BLOCK
_SCALING = ("BZERO", "BSCALE", "BLANK")
_SHIFTED = re.compile(r"CRPIX([12])[A-Z]?")


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


class LazyHeader:
    """A FITS header parsed on first use, with a cutout's shift applied to it.

    Parameters
    ----------
    source
        The header as written (whole cards, in bytes), or an astropy header.
    origin
        Pixel (x, y) of the described image that became its first one.
    shape
        Array shape of the cutout, or `None` where none was made.
    """

    __slots__ = ("_header", "_origin", "_shape", "_source")

    def __init__(
        self,
        source: bytes | fits.Header,
        *,
        origin: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
    ) -> None:
        self._source = source
        self._origin = origin
        self._shape = shape
        self._header: fits.Header | None = source if isinstance(source, fits.Header) and shape is None else None

    @property
    def header(self) -> fits.Header:
        """The header; the same object at every call."""
        if self._header is None:
            source = self._source
            self._header = fits.Header.fromstring(source) if isinstance(source, bytes) else source.copy()
            if self._shape is not None:
                _shift_header(self._header, self._origin, self._shape)
        return self._header

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return the value of one card without parsing the others."""
        if self._header is not None or not isinstance(self._source, bytes):
            return self.header.get(keyword, default)
        card = find_card(self._source, keyword)
        if card is None:
            return default
        return card.value if self._shape is None else _shifted(keyword, card.value, self._origin, self._shape)

    def selected(self, keywords: re.Pattern[str]) -> fits.Header:
        """Return a header of the cards whose keyword matches, parsing only those."""
        if self._header is not None or not isinstance(self._source, bytes):
            return fits.Header([card for card in self.header.cards if keywords.fullmatch(card.keyword)])
        text = self._source.decode("latin-1")
        cards = (text[at : at + CARD] for at in range(0, len(text), CARD))
        header = fits.Header.fromstring("".join(c for c in cards if keywords.fullmatch(c[:8].rstrip())))
        if self._shape is not None:
            _shift_header(header, self._origin, self._shape)
        return header

    def cutout(self, origin: tuple[int, int], shape: tuple[int, int]) -> LazyHeader:
        """Return the header of a cutout whose first pixel is ``origin`` (x, y) of this one."""
        if self._header is not None:
            return LazyHeader(self._header, origin=origin, shape=shape)
        total = (self._origin[0] + origin[0], self._origin[1] + origin[1])
        return LazyHeader(self._source, origin=total, shape=shape)

    def copy(self) -> LazyHeader:
        """Return an independent header."""
        if self._header is not None:
            return LazyHeader(self._header.copy())
        return LazyHeader(self._source, origin=self._origin, shape=self._shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyHeader, (self.header,)


def _shifted(keyword: str, value: Any, origin: tuple[int, int], shape: tuple[int, int]) -> Any:
    """Return a full image's card value as it is in a cutout, in the way of the archive's cutout service."""
    if match := _SHIFTED.fullmatch(keyword):
        offset = origin[int(match[1]) - 1]
        return value - offset if offset else value
    return {"NAXIS1": shape[1], "NAXIS2": shape[0]}.get(keyword, value)


def _shift_header(header: fits.Header, origin: tuple[int, int], shape: tuple[int, int]) -> None:
    for keyword in [k for k in header if k in {"NAXIS1", "NAXIS2"} or _SHIFTED.fullmatch(k)]:
        shifted = _shifted(keyword, header[keyword], origin, shape)
        if shifted != header[keyword]:
            header[keyword] = shifted


def find_card(text: bytes, keyword: str) -> fits.Card | None:
    """Return the first card of a keyword in a header's bytes, or `None`."""
    name = keyword.encode("ascii")
    wanted = name.ljust(8) + b"=" if len(name) <= 8 and b" " not in name else b"HIERARCH " + name + b" ="
    at = text.find(wanted)
    while at >= 0 and at % CARD:
        at = text.find(wanted, at + 1)
    return None if at < 0 else fits.Card.fromstring(text[at : at + CARD])


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
        return default if card is None else card.value

    @cached_property
    def name(self) -> str:
        """``EXTNAME``, or ``PRIMARY`` for a nameless first HDU."""
        default = "PRIMARY" if self.index == 0 else ""
        return str(self.value("EXTNAME", default)).strip().upper()

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """Lengths of the data's axes as stored, fastest first."""
        count = self.value("NAXIS", 0)
        axes = tuple(self.value(f"NAXIS{n + 1}") for n in range(count))
        if any(not isinstance(length, int) or length < 0 for length in axes):
            raise FormatError(f"HDU {self.name!r} has axes {axes}; expected NAXIS={count} lengths.")
        return axes

    @cached_property
    def is_compressed(self) -> bool:
        """Whether it is a tile-compressed image stored as a binary table."""
        return bool(self.value("ZIMAGE", False))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Array shape of the image."""
        if not self.is_compressed:
            return self.axes[::-1]
        return tuple(self.value(f"ZNAXIS{n + 1}") for n in range(self.value("ZNAXIS", 0)))[::-1]

    @cached_property
    def data_size(self) -> int:
        """Bytes of data, without padding."""
        if not self.axes:
            return 0
        elements = self.value("PCOUNT", 0) + math.prod(self.axes)
        return int(abs(self.value("BITPIX")) // 8 * self.value("GCOUNT", 1) * elements)

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
        """Return an image, or the part of its last two axes in ``box``, native-endian.

        Only the strip of rows that holds the box is read, or the tiles that hold it.
        """
        if len(info.shape) < 2:
            raise FormatError(f"HDU {info.name!r} has shape {info.shape}; expected an image.")
        if info.is_compressed:
            return self._compressed_image(info, box)
        if box is None:
            return self._plain_image(info, info.shape, info.data_offset)
        width = info.axes[0] * abs(info.value("BITPIX")) // 8
        rows, columns = box.slices
        shape = (rows.stop - rows.start, info.axes[0])
        strip = self._plain_image(info, shape, info.data_offset + rows.start * width)
        # A copy, so that a small cutout does not keep its strip alive.
        return np.ascontiguousarray(strip[:, columns])

    def table(self, info: HduInfo) -> fits.FITS_rec:
        """Return the rows of a binary table, in memory of their own."""
        (data,) = self.read([(info.data_offset, info.data_offset + info.data_size)], info)
        return _hdu_from_bytes(fits.BinTableHDU, info.text, data).data

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
        """Check that the file holds all the data its headers announce.

        Raises
        ------
        FormatError
            Raised if it ends before.
        """
        last = self.hdus()[-1]
        if self._size is not None and last.data_offset + last.data_size > self._size:
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
        dtype = fits.BITPIX2DTYPE[info.value("BITPIX")]
        stored = np.dtype(dtype).newbyteorder(">")
        (data,) = self.read([(offset, offset + math.prod(shape) * stored.itemsize)], info)
        if any(info.value(keyword) is not None for keyword in _SCALING):
            return _scaled_image(info, shape, data)
        return _to_native(np.frombuffer(data, dtype=stored).reshape(shape))

    def _compressed_image(self, info: HduInfo, box: Box | None) -> NDArray[Any]:
        strip = Box.of_shape(info.shape) if box is None else box
        tile_rows = info.value("ZTILE2", 1)
        tiles_across = -(-info.shape[1] // info.value("ZTILE1", info.shape[1]))
        first, last = strip.y_min // tile_rows, -(-strip.y_max // tile_rows)
        table = self._table_rows(info, first * tiles_across, last * tiles_across)
        stop = min(last * tile_rows, info.shape[0])
        image = _decompress(info, *table, first * tiles_across, stop - first * tile_rows)
        rows = slice(strip.y_min - first * tile_rows, strip.y_max - first * tile_rows)
        return np.ascontiguousarray(image[rows, strip.slices[1]])

    def _table_rows(self, info: HduInfo, first: int, last: int) -> tuple[NDArray[Any], Any]:
        """Return some rows of a tile table, and the heap that they and only they refer to."""
        width, heap_offset = info.axes[0], info.data_offset + info.value("THEAP", math.prod(info.axes))
        start, stop = info.data_offset + first * width, info.data_offset + last * width
        (data,) = self.read([(start, stop)], info)
        columns = fits.ColDefs(_hdu_from_bytes(fits.BinTableHDU, info.text, b"", NAXIS2=0, PCOUNT=0).columns)
        rows = np.frombuffer(bytearray(data), dtype=columns.dtype.newbyteorder(">"))
        descriptors = [rows[column.name] for column in columns if re.match(r"\d*[PQ]", column.format)]
        sizes = [_element_size(column.format) for column in columns if re.match(r"\d*[PQ]", column.format)]
        used = [(d[:, 1], d[:, 1] + d[:, 0] * size) for d, size in zip(descriptors, sizes, strict=True)]
        begin = min((int(s[e > s].min()) for s, e in used if np.any(e > s)), default=0)
        end = max((int(e[e > s].max()) for s, e in used if np.any(e > s)), default=0)
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


def _decompress(info: HduInfo, rows: NDArray[Any], heap: Any, first_tile: int, image_rows: int) -> NDArray[Any]:
    cards = {"NAXIS2": len(rows), "ZNAXIS2": image_rows, "PCOUNT": len(heap)}
    if (dither := info.value("ZDITHER0")) is not None:
        # Dithering is seeded by the tile's number (FITS standard 4.0, section 10.2).
        cards["ZDITHER0"] = (dither - 1 + first_tile) % 10000 + 1
    header = info.text
    if info.value("THEAP") is not None:
        cards["THEAP"] = rows.nbytes
    table = _hdu_from_bytes(fits.BinTableHDU, header, rows.tobytes() + bytes(heap), **cards)
    try:
        image = fits.CompImageHDU(bintable=table).data
    except (ValueError, RuntimeError, OSError, fits.VerifyError) as error:
        raise FormatError(f"HDU {info.name!r} holds tiles that do not decompress: {error}") from error
    return _to_native(np.asarray(image))
