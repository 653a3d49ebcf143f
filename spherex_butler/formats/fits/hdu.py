"""One HDU of a FITS file: its header as bytes, where its data are, and bytes turned into arrays."""

from __future__ import annotations

__all__ = ("BLOCK", "HduInfo", "hdu_from_bytes", "to_native", "whole_blocks")

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from astropy.io import fits
from numpy.typing import NDArray

from ...errors import FormatError
from .lazy_header import LazyHeader, card_value, find_card

BLOCK = 2880

_MOST_COLUMNS = 999  # FITS standard 4.0, section 7.2.1


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
            return default if card is None else card_value(card)
        except FormatError as error:
            raise FormatError(f"HDU number {self.index} has a card {keyword} that cannot be read: {error}") from error

    @property
    def header(self) -> LazyHeader:
        """The header; of a tile-compressed image the image's, not the table's."""
        return LazyHeader(self.text, compressed=self.is_compressed)

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
        self._check_columns()
        return bool(self.value("ZIMAGE", False))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Array shape of the image."""
        return self._lengths("ZNAXIS")[::-1] if self.is_compressed else self.axes[::-1]

    def _lengths(self, keyword: str) -> tuple[int, ...]:
        count = self.value(keyword, 0)
        if type(count) is not int or not 0 <= count < 1000:  # True is an int, too
            raise FormatError(f"HDU {self.name!r} has {keyword}={count!r}; expected a number of axes.")
        axes = tuple(self.value(f"{keyword}{n + 1}") for n in range(count))
        if any(type(length) is not int or length < 0 for length in axes):
            raise FormatError(f"HDU {self.name!r} has axes {axes}; expected {keyword}={count} lengths.")
        return axes

    def _check_columns(self) -> None:
        """Refuse a number of columns that no table has: astropy would go through all of them."""
        count = self.value("TFIELDS", 0)
        if not isinstance(count, int) or not 0 <= count <= _MOST_COLUMNS:
            raise FormatError(
                f"HDU {self.name!r} has TFIELDS={count!r}; expected a number of columns up to {_MOST_COLUMNS}."
            )

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
        self._check_columns()
        if not self.axes:
            return 0
        elements, groups = self.value("PCOUNT", 0), self.value("GCOUNT", 1)
        if not (isinstance(elements, int) and isinstance(groups, int) and elements >= 0 and groups >= 0):
            raise FormatError(f"HDU {self.name!r} has PCOUNT={elements!r}, GCOUNT={groups!r}; expected whole numbers.")
        return self.item_size * groups * (elements + math.prod(self.axes))

    @property
    def span(self) -> tuple[int, int]:
        """First and last (exclusive) byte of header and data."""
        return self.header_offset, self.data_offset + self.data_size

    @property
    def end(self) -> int:
        """First byte after the padded data."""
        return self.data_offset + whole_blocks(self.data_size)


def whole_blocks(length: int) -> int:
    """Return a length in bytes, padded to whole blocks."""
    return -(-length // BLOCK) * BLOCK


def to_native(array: NDArray[Any], dtype: str | None = None) -> NDArray[Any]:
    """Return the values in this machine's byte order, and as ``dtype`` where one is given.

    The bytes are swapped in place where the memory may be changed, so that there
    is one copy of an image in memory.
    """
    if not array.dtype.isnative:
        swapped = array.byteswap(inplace=True) if array.flags.writeable else array.byteswap()
        array = swapped.view(swapped.dtype.newbyteorder("="))
    return array if dtype is None else array.astype(dtype, copy=False)


def hdu_from_bytes(cls: Any, text: bytes, *parts: Any, **cards: Any) -> Any:
    """Return astropy's HDU of a header, with some cards changed, and of the parts of its data."""
    header = fits.Header.fromstring(text)
    header.update(cards)
    return cls.fromstring(b"".join([header.tostring().encode("ascii"), *parts]))
