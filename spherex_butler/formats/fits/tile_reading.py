"""Strips of a tile-compressed image: which bytes hold them, and how they are decompressed alone.

A tile-compressed image is a binary table with a row for each tile, which
points into a heap of compressed bytes (FITS standard 4.0, section 10).  The
rows of the tiles that hold a strip of the image are contiguous, and so, as
every program writes it, is their part of the heap: astropy decompresses the two
as an image of those rows.
"""

from __future__ import annotations

__all__ = ("TileStrip", "check_tiles", "decompress")

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ...errors import FormatError
from .boxes import Box
from .hdu import HduInfo, hdu_from_bytes, to_native
from .lazy_header import select_cards
from .rice import Rice

_ANYWAY = 1 << 28
"""Bytes that an image may have however little is stored of it …"""

_RATIO = 2048
"""… and beyond which they are this many times what is stored at most: gzip makes zeros 1,030 times smaller."""

_VARIABLE = re.compile(r"\d*[PQ]")
# Parsing these alone is most of the gain of a small strip; the others say nothing of the pixels' bytes.
_TABLE_CARDS = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|THEAP|TFIELDS|T(TYPE|FORM|NULL|SCAL|ZERO|DIM)\d+|BSCALE|BZERO|BLANK|Z.*"
)


def decompress(info: HduInfo, span: Any) -> NDArray[Any]:
    """Return all pixels of a tile-compressed image, native-endian, from the bytes of its header and data."""
    if 0 in info.shape:
        raise FormatError(f"HDU {info.name!r} is compressed and has shape {info.shape}; expected pixels.")
    check_tiles(info)
    if (rice := Rice.of(info)) is not None:
        table = memoryview(span)[info.data_offset - info.header_offset :]
        size = math.prod(info.axes)
        pixels = rice.decompress(table[:size], table[info.value("THEAP", size) :], info.shape[0])
        if pixels is not None:
            return pixels
    return _decompressed(info, fits.BinTableHDU.fromstring(bytes(span)))


def check_tiles(info: HduInfo) -> None:
    """Refuse tiles that do not make up the image, and an image far larger than its compressed bytes can hold."""
    lengths = info.shape[::-1]
    tiles = tuple(info.value(f"ZTILE{n + 1}", length if n == 0 else 1) for n, length in enumerate(lengths))
    if any(not isinstance(tile, int) or tile < 1 for tile in tiles):
        raise FormatError(f"HDU {info.name!r} has tiles of {tiles} pixels; expected at least one along each axis.")
    count = math.prod(-(-length // tile) for length, tile in zip(lengths, tiles, strict=True))
    if len(info.axes) != 2 or count != info.axes[1]:
        raise FormatError(f"HDU {info.name!r} has {info.axes[1:]} rows; expected one for each of its {count} tiles.")
    bits, heap = info.value("ZBITPIX"), info.value("PCOUNT", 0)
    if bits not in fits.BITPIX2DTYPE:
        raise FormatError(f"HDU {info.name!r} has ZBITPIX={bits!r}; expected one of {[*fits.BITPIX2DTYPE]}.")
    if (size := math.prod(lengths) * abs(bits) // 8) > max(_ANYWAY, _RATIO * heap):
        raise FormatError(
            f"HDU {info.name!r} has shape {info.shape}, which is {size:,} bytes of {heap:,} compressed ones; expected "
            f"at most {_RATIO} times as many. Get the file again."
        )


def _decompressed(info: HduInfo, table: fits.BinTableHDU) -> NDArray[Any]:
    try:
        return to_native(np.asarray(fits.CompImageHDU(bintable=table).data))
    except Exception as error:  # decompressors raise all kinds of errors on damaged bytes
        raise FormatError(f"HDU {info.name!r} holds tiles that do not decompress: {error!r}") from error


@dataclass(frozen=True)
class TileStrip:
    """The tiles that hold part of an image, in pixels of that image."""

    info: HduInfo
    box: Box

    def __post_init__(self) -> None:
        check_tiles(self.info)

    @cached_property
    def _rows(self) -> tuple[int, int]:
        """First and last (exclusive) row of tiles."""
        tile_rows = self.info.value("ZTILE2", 1)
        return self.box.y_min // tile_rows, -(-self.box.y_max // tile_rows)

    @cached_property
    def _tiles_across(self) -> int:
        return -(-self.info.shape[1] // int(self.info.value("ZTILE1", self.info.shape[1])))

    @cached_property
    def _cards(self) -> bytes:
        return select_cards(self.info.text, _TABLE_CARDS)

    @property
    def table_range(self) -> tuple[int, int]:
        """Bytes of the file that hold the tiles' rows of the table."""
        first, last = (row * self._tiles_across * self.info.axes[0] for row in self._rows)
        return self.info.data_offset + first, self.info.data_offset + last

    def locate(self, data: Any) -> tuple[NDArray[Any], tuple[int, int]]:
        """Return rows of the table that point into their own part of the heap, and that part's bytes in the file."""
        columns = fits.ColDefs(hdu_from_bytes(fits.BinTableHDU, self._cards, NAXIS2=0, PCOUNT=0).columns)
        rows = np.frombuffer(bytearray(data), dtype=columns.dtype.newbyteorder(">"))
        variable = [column for column in columns if _VARIABLE.match(column.format)]
        descriptors = [rows[column.name] for column in variable]
        sizes = [_element_size(column.format) for column in variable]
        used = [(d[:, 1], d[:, 1] + d[:, 0] * size) for d, size in zip(descriptors, sizes, strict=True)]
        begin = min((int(s[e > s].min()) for s, e in used if np.any(e > s)), default=0)
        end = max((int(e[e > s].max()) for s, e in used if np.any(e > s)), default=0)
        size = self.info.value("PCOUNT", 0)
        if not 0 <= begin <= end <= size:
            raise FormatError(
                f"HDU {self.info.name!r} has tiles at bytes {begin} to {end}, outside its heap of {size}."
            )
        for descriptor in descriptors:
            descriptor[:, 1] = np.maximum(descriptor[:, 1] - begin, 0)
        heap = self.info.data_offset + self.info.value("THEAP", math.prod(self.info.axes))
        return rows, (heap + begin, heap + end)

    def decompress(self, rows: NDArray[Any], heap: Any) -> NDArray[Any]:
        """Return the pixels of the box, native-endian."""
        cards = self._strip_cards()
        image = self._by_rice(rows, heap, cards["ZNAXIS2"])
        if image is None:
            image = self._by_astropy(rows, heap, cards)
        above = self._rows[0] * self.info.value("ZTILE2", 1)
        return np.ascontiguousarray(image[self.box.shifted(0, -above).slices])

    def _by_rice(self, rows: NDArray[Any], heap: Any, height: int) -> NDArray[Any] | None:
        rice = Rice.of(self.info)
        return None if rice is None else rice.decompress(rows, heap, height)

    def _by_astropy(self, rows: NDArray[Any], heap: Any, strip: dict[str, int]) -> NDArray[Any]:
        cards = {"NAXIS2": len(rows), "PCOUNT": len(heap), **strip}
        if self.info.value("THEAP") is not None:
            cards["THEAP"] = rows.nbytes
        table = hdu_from_bytes(fits.BinTableHDU, self._cards, rows.data, heap, **cards)
        return _decompressed(self.info, table)

    def _strip_cards(self) -> dict[str, int]:
        first, last = self._rows
        tile_rows = self.info.value("ZTILE2", 1)
        cards = {"ZNAXIS2": min(last * tile_rows, self.info.shape[0]) - first * tile_rows}
        if (dither := self.info.value("ZDITHER0")) is not None:
            # Dithering is seeded by the tile's number (FITS standard 4.0, section 10.2).
            cards["ZDITHER0"] = (dither - 1 + first * self._tiles_across) % 10000 + 1
        return cards


def _element_size(tform: str) -> int:
    """Bytes of one element of a variable-length column, from its TFORM such as ``1PB(96)``."""
    code = _VARIABLE.sub("", tform)[0]
    return int(np.dtype(fits.column.FITS2NUMPY[code]).itemsize)
